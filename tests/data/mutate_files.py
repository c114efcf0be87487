"""Reads damaged files of every format: the outcome must be data that can be used, or a DataError, soon.

python tests/data/mutate_files.py 100000 --seed 3 [--state FILE] [--only FORMAT]

prints how many files of each format gave data or were refused, and how the processes that read them ended. With
--state it goes on where it was interrupted. What failed is kept, and file n of a seed is always the same:
--from N 1 repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import damage
import numpy as np
from healthy_files import LAYOUTS, Layout
from horace_forks import Forks

from insiren.cli.picture import picture
from insiren.data.files import confined, read, sandbox
from insiren.data.peaks import is_peaks
from insiren.data.spectrum import measured
from insiren.data.summary import summary
from insiren.errors import DataError

SOON = 90  # s for one file; a child may compute for ten, on a machine with others
TELL = 1000  # files between two lines of progress, and between two states that are kept
HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass
class Outcome:
    """How many files of each format gave data or were refused, and what else happened.

    Attributes:
        done: number of files.
        data: by format.
        refused: by format.
        lost: processes that read HDF5, by exit status; −n for signal n.
        slowest: time of the slowest file in s, by format.
        memory: largest of this process in MB.
        failed: anything else: format, number of the file, where it is kept, and the end of the traceback.
    """

    done: int = 0
    data: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)
    memory: float = 0.0
    failed: list[list[str]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """A table."""
        yield f"{'format':<20} {'data':>7} {'refused':>8} {'slowest/s':>10}"
        for name in [*self.slowest]:
            yield f"{name:<20} {self.data[name]:>7} {self.refused[name]:>8} {self.slowest[name]:>10.1f}"
        yield f"{'all':<20} {self.data.total():>7} {self.refused.total():>8} {max(self.slowest.values()):>10.1f}"
        yield f"processes lost: {dict(self.lost)}; memory: {self.memory:.0f} MB; failed: {len(self.failed)}"


class Kept(sandbox.Child):
    """A child that reads one file after another, as no child does outside of tests, and is renewed when it dies."""

    alive: sandbox.Child | None = None
    lost: ClassVar[Counter[str]] = Counter()

    def __enter__(self) -> sandbox.Child:
        if Kept.alive is not None and (code := Kept.alive.process.poll()) is not None:
            Kept.lost[str(code)] += 1
            Kept.end()
        if Kept.alive is None:
            Kept.alive = super().__enter__()
        return Kept.alive

    def __exit__(self, *_: object) -> None:
        return

    @classmethod
    def end(cls) -> None:
        if cls.alive is not None:
            super(Kept, cls.alive).__exit__()
            cls.alive = None


class Watch:
    """In place of a `threading.Timer`, a thread each, what the system's one alarm does."""

    def __init__(self, seconds: float, kill: Callable[[], None]):
        self.seconds, self.kill = seconds, kill

    def start(self) -> None:
        signal.signal(signal.SIGALRM, lambda *_: self.kill())
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def cancel(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, SOON)
        signal.signal(signal.SIGALRM, too_slow)


def too_slow(*_: object) -> None:
    raise AssertionError(f"not read within {SOON} s")


@contextlib.contextmanager
def quickly() -> Iterator[None]:
    """Files are read by processes that are kept, within a wall time, and every warning is an error."""
    kept, run, old = sandbox.Child, confined.run, signal.signal(signal.SIGALRM, too_slow)
    timer = sandbox.threading.Timer
    with Forks() as forks, warnings.catch_warnings():
        warnings.simplefilter("error")
        sandbox.Child, confined.run = Kept, forks.run  # type: ignore[misc]
        sandbox.threading.Timer = Watch  # type: ignore[misc]
        try:
            yield
        finally:
            sandbox.Child, confined.run = kept, run  # type: ignore[misc]
            sandbox.threading.Timer = timer  # type: ignore[misc]
            Kept.end()
            signal.signal(signal.SIGALRM, old)


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """A copy that is damaged in one of the ways that suit what it is."""
    # A MAT-file is HDF5 behind 512 bytes of another header.
    is_hdf5 = content.startswith(HDF5) or content[512:].startswith(HDF5)
    if random.random() < 0.5:
        return damage.of_bytes(content, random)
    if is_hdf5:
        return damage.of_hdf5(content, random)
    return damage.of_bytes(content, random) if b"\0" in content else damage.of_text(content, random)


def use(path: Path, layout: Layout) -> None:
    """Reads a file and does with its data what the commands do."""
    for data in read(path, **layout.options):
        assert data.values.dtype == float
        json.dumps(summary(data), allow_nan=False)
        picture(data)
        if not is_peaks(data):
            with contextlib.suppress(DataError):  # a measurement without errors, or with σ = 0, is still data
                measured(data)


def campaign(
    n: int,
    seed: int,
    first: int = 0,
    only: str | None = None,
    outcome: Outcome | None = None,
    say: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Reads the damaged files first … n − 1 of a seed.

    Args:
        n: number of the file after the last.
        seed: of the damage.
        first: number of the first file.
        only: the one format to damage; by default one after the other.
        outcome: to add to.
        say: called with the outcome now and then.
    """
    outcome = outcome or Outcome()
    # Texts cost a tenth of the time of HDF5, so that there are three times as many of each.
    names = [only] if only else [name for n in range(3) for name in LAYOUTS if n == 0 or LAYOUTS[name].is_text]
    with tempfile.TemporaryDirectory() as folder, quickly():
        Kept.lost = outcome.lost
        for name in {names[i % len(names)] for i in range(first, min(n, first + len(names)))}:
            (Path(folder) / name).mkdir()
            LAYOUTS[name].write(Path(folder) / name)
        for i in range(first, n):
            one(Path(folder), names[i % len(names)], [seed, i], outcome)
            if say and ((i + 1) % TELL == 0 or i + 1 == n):
                say(outcome)
    return outcome


def one(folder: Path, name: str, seed: list[int], outcome: Outcome) -> None:
    """Damages a file of the format and reads it."""
    layout, random = LAYOUTS[name], np.random.default_rng(seed)
    files = sorted((folder / name).iterdir())
    target = files[random.integers(len(files))]
    healthy = target.read_bytes()
    target.write_bytes(damaged(healthy, random))
    start = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, SOON)
    try:
        use(folder / name / layout.read, layout)
        outcome.data[name] += 1
    except DataError:
        outcome.refused[name] += 1
    except Exception:
        kept = Path(tempfile.mkdtemp()) / target.name
        shutil.copyfile(target, kept)
        outcome.failed.append([name, str(seed), str(kept), traceback.format_exc()[-1500:]])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        target.write_bytes(healthy)
    outcome.slowest[name] = max(outcome.slowest.get(name, 0.0), time.monotonic() - start)
    outcome.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    outcome.done += 1


def main() -> int:
    """Runs a campaign and prints its outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int, help="number of damaged files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", dest="first", type=int, default=0, help="number of the first file")
    parser.add_argument("--only", choices=LAYOUTS, help="one format")
    parser.add_argument("--state", type=Path, help="file that keeps what is done")
    given = parser.parse_args()
    outcome = Outcome()
    if given.state and given.state.exists():
        kept = json.loads(given.state.read_text())
        outcome = Outcome(**{k: Counter(v) if k in ("data", "refused", "lost") else v for k, v in kept.items()})
    before = len(outcome.failed)
    start, begun = time.monotonic(), outcome.done

    def say(outcome: Outcome) -> None:
        nonlocal before
        for failed in outcome.failed[before:]:
            print(*failed, sep="\n", flush=True)
        before = len(outcome.failed)
        print(f"{outcome.done} files, {time.monotonic() - start:.0f} s, {len(outcome.failed)} failed", flush=True)
        if given.state:
            temporary = given.state.with_suffix(".partial")
            temporary.write_text(json.dumps(vars(outcome)))
            temporary.replace(given.state)

    campaign(given.first + given.n, given.seed, given.first + begun, given.only, outcome, say)
    print(f"\n{outcome.done} files of seed {given.seed}, {time.monotonic() - start:.0f} s", *outcome.lines(), sep="\n")
    return bool(outcome.failed)


if __name__ == "__main__":
    sys.exit(main())
