"""How much readers of its page slow the updates of a live fit.

    python benchmarks/live_readers.py DATA [READERS]

A measurement is replayed in small steps, four updates in turn with nobody looking and with READERS (50) readers, each
of whom listens to the events of the page and fetches the numbers, the maps and the landscape of every new snapshot. The
readers are a process of this machine too, which at a beamline they are not.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from live_study import PLAIN
from live_updates import POLL

import insiren as ins
from insiren.data.files import read, write
from insiren.data.replay import stream
from insiren.fit.pose import Wanted
from insiren.live.run import Live, Wishes
from insiren.live.snapshots import only_writer
from insiren.live.update import Asked

ROUNDS, EACH = 4, 4  # of updates without and with readers
FROM, TO = 200_000, 320_000  # neutrons: no update in between searches the box, most times


def reads(port: int) -> None:
    """One reader, until the page ends."""
    stream_ = http.client.HTTPConnection("127.0.0.1", port)
    stream_.request("GET", "/events")
    answer = stream_.getresponse()
    while line := answer.readline():
        if not line.startswith(b"data: ") or b'"number"' not in line:
            continue
        number = json.loads(line[6:]).get("number")
        if number is None:
            continue
        for part in ("fit", "maps", "landscape"):
            other = http.client.HTTPConnection("127.0.0.1", port)
            other.request("GET", f"/api/snapshots/{number}/{part}.json", headers={"Accept-Encoding": "gzip"})
            other.getresponse().read()
            other.close()


def crowd(port: int, many: int) -> None:
    """So many readers, until standard input ends."""
    for _ in range(many):
        threading.Thread(target=reads, args=(port,), daemon=True).start()
    print("reading", flush=True)
    sys.stdin.read()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def main(data: str, many: int) -> None:
    asked = Asked(ins.exact(ins.load_model("la2nio4")), PLAIN, Wanted())
    with tempfile.TemporaryDirectory() as place, only_writer(Path(place) / "run"):
        counts, out = Path(place) / "counts", Path(place) / "run"
        counts.mkdir()
        run = Live(asked, Wishes(counts, out, {"J": 0.3}))
        command = [sys.executable, "-m", "insiren", "page", str(out), "--port", str(free_port()), "--with-parent"]
        page = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert page.stdout is not None and page.stdin is not None
        port = int(page.stdout.readline().strip().rstrip("/").rpartition(":")[2])
        took: dict[bool, list[float]] = {False: [], True: []}
        steps = stream(read(data), FROM, TO, 2 + 2 * ROUNDS * EACH, seed=1)
        for n, sets in enumerate(steps):
            looked_at = n >= 2 and (n - 2) // EACH % 2 == 1
            if n >= 2 and (n - 2) % EACH == 0 and looked_at:
                readers = subprocess.Popen([sys.executable, __file__, "read", str(port), str(many)], text=True,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
                assert readers.stdout is not None and readers.stdin is not None
                readers.stdout.readline()
                time.sleep(1)
            for one in sets:
                write(one, counts / f"{one.name}-{n:03d}.h5")
            run.look()
            time.sleep(POLL)
            begun = time.perf_counter()
            assert run.look()
            number = run.update()
            spent = time.perf_counter() - begun
            assert number is not None
            searched = run.folder.fit(number)["live"]["searched"]
            if n >= 2 and not searched:
                took[looked_at].append(spent)
            if looked_at and (n - 2) % EACH == EACH - 1:
                readers.stdin.close()
                readers.wait()
        page.stdin.close()
        page.wait()
    alone, watched = (np.array(took[key]) for key in (False, True))
    print(
        f"an update, reading its files included: {np.median(alone):.2f} s alone ({alone.min():.2f} … {alone.max():.2f})"
        f", {np.median(watched):.2f} s with {many} readers ({watched.min():.2f} … {watched.max():.2f}): "
        f"{100 * (np.median(watched) / np.median(alone) - 1):+.0f} %"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["read"]:
        crowd(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 50)
