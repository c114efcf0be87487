"""Reads damaged copies of files of every HDF5 layout: the outcome must be data or a DataError, soon.

python tests/data/mutate_files.py 100000 --seed 3 [--also FILE...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from nexus_files import EDGES, cells, mdhisto, nxdata, nxspe

from insiren.data.files import read_tree
from insiren.data.files.sandbox import Child, is_hdf5
from insiren.data.spectrum import image, measured
from insiren.errors import DataError

SOON = 60.0  # s for one file; a child may compute for four, on a machine with others
TELL = 5000  # files between two lines of progress


@dataclass
class Outcome:
    """How many files gave data, how many were refused, how their children ended, and the longest time in s."""

    data: int = 0
    refused: int = 0
    children_lost: Counter[int] = field(default_factory=Counter)  # by exit status; −n for signal n
    slowest: float = 0.0


def originals(folder: Path) -> list[bytes]:
    """Small healthy files, one of each layout."""
    small = [EDGES[0][:3], EDGES[1][:3], EDGES[2], EDGES[3][:4]]
    arrays = cells(small)
    energy, polar = np.linspace(-2, 4, 7), np.linspace(10, 100, 5)
    flat = np.ones((5, 6))
    image("x", np.eye(3), energy[:6], np.ones((3, 6)), np.ones((3, 6))).save_hdf5(folder / "scipp.h5")
    nothing = np.zeros_like(arrays[0])
    spinw = ("[1 0 0]", "[0 1 0]", "[0 0 1]", "DeltaE")
    paths = [
        mdhisto(folder / "mantid.nxs", arrays, edges=small, W=np.eye(3), lattice=(4, 4, 4, 90, 90, 90), Ei=10),
        mdhisto(folder / "sums.nxs", arrays, edges=small, normalisation=2, convention="Crystallography"),
        mdhisto(folder / "spinw.nxs", (arrays[0], nothing, nothing), edges=small, labels=spinw, spinw=True),
        nxspe(folder / "x.nxspe", flat, flat, energy, polar, np.zeros(5)),
        nxdata(folder / "x.nxs", flat, [("Q", polar, "1/angstrom"), ("E", energy, "meV")], errors=flat),
        folder / "scipp.h5",
    ]
    return [path.read_bytes() for path in paths]


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """A damaged copy: some bytes changed, blanked, moved, lost or cut off."""
    data = bytearray(content)
    for _ in range(random.integers(1, 5)):
        if not data:
            break
        at, size = int(random.integers(len(data))), int(2 ** random.uniform(0, 9))
        kind = random.integers(7)
        if kind <= 1:
            data[at] ^= 1 << int(random.integers(8))
        elif kind == 2:
            data[at] = int(random.integers(256))
        elif kind == 3:
            # Numbers at the ends of their range, where sizes and offsets are.
            length = int(random.choice([1, 2, 4, 8]))
            value = int(random.choice([0, 1, 0x7F, 0x80, 0xFF]))
            data[at : at + length] = bytes([value]) * len(data[at : at + length])
        elif kind == 4:
            data[at : at + size] = bytes(len(data[at : at + size]))
        elif kind == 5:
            source = int(random.integers(len(data)))
            data[at : at + size] = data[source : source + len(data[at : at + size])]
        elif random.random() < 0.3:
            del data[at:]
        else:
            del data[at : at + size]
    return bytes(data)


def campaign(n: int, seed: int, files: list[bytes] | None = None, say=None) -> Outcome:
    """Reads n damaged files.

    Args:
        n: number of files.
        seed: of the damage.
        files: healthy ones to damage beyond `originals`.
        say: called with a line of progress now and then.

    Raises:
        AssertionError: a file ended in anything but data or a DataError, or took too long; the note
            says where the file is kept.
    """
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        healthy = originals(Path(folder)) + (files or [])
        path, child = Path(folder) / "damaged.h5", None
        for i in range(n):
            random = np.random.default_rng([seed, i])
            path.write_bytes(mutated(healthy[i % len(healthy)], random))
            start = time.monotonic()
            try:
                if child is None:
                    child = Child().__enter__()
                _read(path, child)
                outcome.data += 1
            except DataError:
                outcome.refused += 1
            except BaseException as error:
                kept = Path(tempfile.mkdtemp()) / f"seed{seed}-{i}.h5"
                kept.write_bytes(path.read_bytes())
                error.add_note(f"file {i} of seed {seed}, kept as {kept}")
                raise
            taken = time.monotonic() - start
            outcome.slowest = max(outcome.slowest, taken)
            assert taken < SOON, f"file {i} of seed {seed} took {taken:.0f} s"
            if child.process.poll() is not None:
                outcome.children_lost[child.process.returncode] += 1
                child.__exit__()
                child = None
            if say and (i + 1) % TELL == 0:
                say(f"{i + 1}: {outcome}")
        if child is not None:
            child.__exit__()
    return outcome


def _read(path: Path, child: Child) -> None:
    if not is_hdf5(path):
        raise DataError(f"{path} is not HDF5 any more.")
    for data in read_tree(child.open(path), "damaged", {}):
        assert data.values.dtype == float
        if data.variances is not None:
            measured(data)


def main() -> None:
    """Runs a campaign and prints its outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, help="number of damaged files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--also", nargs="+", type=Path, default=[], help="healthy files to damage too")
    given = parser.parse_args()
    start = time.monotonic()
    outcome = campaign(given.n, given.seed, [file.read_bytes() for file in given.also], print)
    print(f"{given.n} files of seed {given.seed} in {time.monotonic() - start:.0f} s: {outcome}")


if __name__ == "__main__":
    sys.exit(main())
