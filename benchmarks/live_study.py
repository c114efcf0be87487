"""What live fits promise, put to the test: intervals, the rule to stop, and the answer of a replayed measurement.

    python benchmarks/live_study.py streams [STREAMS]
    python benchmarks/live_study.py replays DATA [REPLAYS] [STEPS] [FIRST_SEED]

`streams` simulates measurements of known truth (the square-lattice antiferromagnet of studies/interval_coverage.py:
background of its own for every energy, pixels missing), feeds each as a stream of growing counts to a run of its own
and tells how often the 68 % interval holds the truth at fixed exposures, where counting would have been stopped by the
target J = 0.3 meV, how far off J was there, and how many neutrons that took beside those at which the Cramér–Rao bound
reaches the target. `replays` feeds the measured La2NiO4, thinned anew for every replay, and tells how often the answer
lies near that of all neutrons.

The runs are those of `insiren live` but for the files, which are handed over in memory. The spectra of the box, which
no data change, are worked out once.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc

import insiren as ins
from insiren.data.replay import stream
from insiren.fit.pose import Wanted
from insiren.fit.treatment import Treatment
from insiren.live.box import Box
from insiren.live.run import Live, Wishes
from insiren.live.snapshots import only_writer
from insiren.live.update import Asked

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))
from interval_coverage import TRUTH, background, expected

TARGET = 0.3  # meV of J, half the 68 % interval
UNDER = 5.0  # of the background, in units of the mean signal
FIRST, LAST, STEPS = 600, 30_000, 22
EXPOSURES = (3, 7, 11, 15, 19)  # steps at which intervals are judged
MANY = 30_000_000  # neutrons that tell the bound
REPLAYED = 2_000, 800_000
ENOUGH, NEAR = 8_000, {"J": 1.5, "Jp": 0.5}  # neutrons from which the answer is to lie within so many meV
PLAIN = Treatment(None, "per-energy", "data", False, None, None)


def snapshots(
    asked: Asked, steps: Iterator[list[sc.DataArray]], targets: dict[str, float], box: Box | None
) -> tuple[list[dict[str, Any]], Box | None]:
    """The fit of every snapshot of one run over a stream, and the spectra of its box."""
    held: dict[str, list[sc.DataArray]] = {}
    with tempfile.TemporaryDirectory() as place, only_writer(Path(place) / "run"):
        counts = Path(place) / "counts"
        counts.mkdir()
        run = Live(asked, Wishes(counts, Path(place) / "run", targets), reads=lambda path: held[path.name])
        run.box, found = box, []
        for n, sets in enumerate(steps):
            name = f"{n:03d}.counts"
            held[name] = sets
            (counts / name).write_text(name)
            run.look()
            assert run.look()
            number = run.update()
            if number is not None:  # too few neutrons for an answer are no snapshot
                found.append(run.folder.fit(number))
        return found, run.box


def streams(many: int) -> None:
    """Intervals at fixed exposures, and the rule to stop."""
    asked = Asked(ins.exact(ins.load_model("la2nio4")), PLAIN, Wanted(fixed={"q_fwhm": 0.0}))
    clean = expected(asked.forward)
    under = background(UNDER * float(np.nanmean(clean.values[~clean.masks["missing"].values])))
    sure = ins.fit(asked.forward, ins.count(clean, MANY, 0, under), fixed={"q_fwhm": 0.0})
    assert sure.errors["J"] is not None
    needed = MANY * (sure.errors["J"] / TARGET) ** 2
    pulls: dict[int, list[list[float]]] = {n: [] for n in EXPOSURES}
    stops, began, box = [], time.perf_counter(), None
    levels = np.geomspace(FIRST, LAST, STEPS)
    for seed in range(many):
        whole = ins.count(clean, LAST, seed, under)
        found, box = snapshots(asked, stream([whole], FIRST, None, STEPS, seed), {"J": TARGET}, box)
        for n in EXPOSURES:
            near = min(found, key=lambda one: abs(np.log(one["live"]["neutrons"] / levels[n])))
            pulls[n].append([_pull(near, name) for name in ("J", "Jp")])
        stops.append(next(((one["live"]["neutrons"], one["parameters"]["J"]["value"] - TRUTH["J"]) for one in found
                           if one["live"]["stop"]["advised"]), (np.nan, np.nan)))  # fmt: skip
        if seed % 20 == 19 or seed == many - 1:
            _say_streams(seed + 1, levels, pulls, np.array(stops), needed, time.perf_counter() - began)


def _pull(content: dict[str, Any], name: str) -> float:
    value, error = (content["parameters"][name][key] for key in ("value", "error"))
    return np.inf if error is None else (value - TRUTH[name]) / error


def _say_streams(
    many: int, levels: np.ndarray, pulls: dict[int, list[list[float]]], stops: np.ndarray, needed: float, seconds: float
) -> None:
    print(f"{many} streams, {seconds:.0f} s")
    for n, kept in pulls.items():
        inside = 100 * np.mean(np.abs(kept) < 1, axis=0)
        print(f"  {levels[n]:9,.0f} neutrons: the 68 % interval holds J in {inside[0]:.1f} %, Jp in {inside[1]:.1f} %")
    neutrons, off = stops[np.isfinite(stops[:, 0])].T
    print(
        f"  stopped {len(off)} of {many}: |ΔJ| ≤ {TARGET} in {100 * np.mean(np.abs(off) <= TARGET):.1f} %, "
        f"≤ {2 * TARGET} in {100 * np.mean(np.abs(off) <= 2 * TARGET):.1f} %; neutrons median "
        f"{np.median(neutrons):,.0f} ({np.median(neutrons) / needed:.2f} of the {needed:,.0f} of the bound; 90 % below "
        f"{np.quantile(neutrons, 0.9) / needed:.2f}, all below {neutrons.max() / needed:.2f})",
        flush=True,
    )


def replays(data: Sequence[sc.DataArray], many: int, steps: int, first: int = 1) -> None:
    """How often the answer of a replayed measurement lies near that of all neutrons."""
    asked = Asked(ins.exact(ins.load_model("la2nio4")), PLAIN, Wanted())
    whole = stream(data, *REPLAYED, 2, 0)
    next(whole)
    full = ins.fit(asked.forward, next(whole))
    print("all neutrons:", ", ".join(f"{n} = {full.values[n]:.3f}" for n in full.names), flush=True)
    right, box, began = [], None, time.perf_counter()
    for seed in range(first, first + many):
        found, box = snapshots(asked, stream(data, *REPLAYED, steps, seed), {"J": TARGET}, box)
        wrong = [one for one in found if one["live"]["neutrons"] >= ENOUGH and not _near(one, full)]
        right.append(not wrong)
        said = "; ".join(
            f"{one['live']['neutrons']:,.0f}: " + ", ".join(f"{n} {one['parameters'][n]['value']:.2f}" for n in NEAR)
            for one in wrong
        )
        stop = next((one["live"]["neutrons"] for one in found if one["live"]["stop"]["advised"]), None)
        print(
            f"replay {seed}: {'right' if right[-1] else 'wrong at ' + said}, stop at {stop and f'{stop:,.0f}'}; "
            f"{sum(right)} of {len(right)} right; {time.perf_counter() - began:.0f} s",
            flush=True,
        )


def _near(content: dict[str, Any], full: ins.Fit) -> bool:
    return all(abs(content["parameters"][n]["value"] - full.values[n]) <= most for n, most in NEAR.items())


if __name__ == "__main__":
    if sys.argv[1:2] == ["streams"]:
        streams(int(sys.argv[2]) if len(sys.argv) > 2 else 200)
    elif sys.argv[1:2] == ["replays"] and len(sys.argv) > 2:
        replays(ins.read(sys.argv[2]), *(int(x) for x in (*sys.argv[3:6], *("20", "60", "1")[len(sys.argv[3:6]) :])))
    else:
        sys.exit(__doc__)
