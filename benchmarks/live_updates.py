"""How long the updates of a live fit take: a measurement replayed step by step, each step folded and fitted.

    python benchmarks/live_updates.py DATA [STEPS]

prints neutrons, seconds from the look that takes the files to the snapshot, whether the box was
searched, and the answer of every update, then the medians.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import insiren as ins
from insiren.data.files import read, write
from insiren.data.replay import stream
from insiren.fit.pose import Wanted
from insiren.fit.treatment import Treatment
from insiren.live.run import Live, Wishes
from insiren.live.snapshots import only_writer
from insiren.live.update import Asked

FIRST, EVENTS = 2_000, 800_000
POLL = 1.0  # s between the look that sees a file and the one that takes it, as by default


class Stages:
    """Adds up the seconds from the first to the last word of each stage."""

    def __init__(self, seconds: dict[str, float]):
        self.seconds, self.stage, self.since = seconds, "", 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        now = time.perf_counter()
        if stage == self.stage and self.seconds:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.since
        if stage != self.stage:
            print(f"    {stage}", time.strftime("%X"), file=sys.stderr)
        self.seconds.setdefault(stage, 0.0)
        self.stage, self.since = stage, now


def main(data: str, steps: int) -> None:
    asked = Asked(
        ins.exact(ins.load_model("la2nio4")), Treatment(None, "per-energy", "data", False, None, None), Wanted()
    )
    wait = 0.0
    with tempfile.TemporaryDirectory() as place, only_writer(Path(place) / "run"):
        counts = Path(place) / "counts"
        counts.mkdir()
        wishes = Wishes(counts, Path(place) / "run", {"J": 0.3, "Jp": 0.2})
        stages: dict[str, float] = {}
        run, took = Live(asked, wishes, progress=Stages(stages)), []
        for n, sets in enumerate(stream(read(data), FIRST, EVENTS, steps, seed=1)):
            for one in sets:
                write(one, counts / f"{one.name}-{n:03d}.h5")
            run.look()
            time.sleep(POLL)
            begun = time.perf_counter()
            assert run.look()
            folded = time.perf_counter()
            number = run.update()
            wait = time.perf_counter() - begun
            stages_took = " ".join(f"{k} {v:.1f}" for k, v in stages.items())
            stages.clear()
            assert number is not None
            live = run.folder.fit(number)["live"]
            took.append((wait, live["searched"]))
            last = live["history"][-1]
            values = "  ".join(
                f"{k} {last['values'][k]:.3f} ± {last['errors'][k] or np.nan:.3f}" for k in last["values"]
            )
            tension = live["tension"] and f"{live['tension']['sigma']:.1f}"
            print(
                f"{n + 1:3d} {live['neutrons']:9,.0f} {folded - begun:5.2f} + {wait - (folded - begun):6.2f} s "
                f"{'search' if live['searched'] else '':7}{values}  share {live['mode_share']:.3f}  tension {tension}  "
                f"{live['quality']['reduced']:.3f}  missing {live['stop']['missing']}  ({stages_took})",
                flush=True,
            )
    seconds = np.array([s for s, _ in took[1:]])
    warm = np.array([s for s, searched in took[1:] if not searched])
    print(f"first {took[0][0]:.1f} s; then median {np.median(seconds):.2f} s, of warm ones {np.median(warm):.2f} s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60)
