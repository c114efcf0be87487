"""Which contents of files have been counted: the ledger of a run, and a copy of each content that still counts.

What has been counted follows from the ledger alone. A line of it is written after the copy of its content is on the
disk, so that a process killed between the two begins again with the file, and nothing is lost or counted twice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import scipp as sc

from insiren.data.files import read, write
from insiren.live.fold import State, fold
from insiren.live.snapshots import append, lines, now, sync_folder

TAKEN, DUPLICATE, REFUSED = "taken", "duplicate", "refused"


class Entry(NamedTuple):
    """One line of the ledger.

    Attributes:
        name: of the file.
        digest: of its content.
        status: "taken", "duplicate" or "refused".
        reason: of a refusal, or which file has the same content.
        keys: of the data sets in it.
        neutrons: in it.
    """

    name: str
    digest: str
    status: str
    reason: str = ""
    keys: tuple[str, ...] = ()
    neutrons: float = 0.0


class Ledger:
    """The lines of a run's ledger, and the copies.

    Args:
        out: the folder of the run, held by this process.
        incremental: whether files add to each other, or replace each other.
    """

    def __init__(self, out: Path, incremental: bool):
        self.path, self.copies, self.incremental = out / "ledger.jsonl", out / "taken", incremental
        self.copies.mkdir(exist_ok=True)
        for left in self.copies.glob(".*"):  # of a writer that was killed
            left.unlink(missing_ok=True)
        self.latest: dict[str, Entry] = {}  # of each file
        self.holds: dict[str, str] = {}  # the content of each file that was accepted last
        self.taken: dict[str, Entry] = {}  # by content, in the order of arrival
        for line in lines(self.path):
            self._note(Entry(**{**{k: v for k, v in line.items() if k in Entry._fields}, "keys": tuple(line["keys"])}))

    def _note(self, entry: Entry) -> None:
        self.latest[entry.name] = entry
        if entry.status == TAKEN:
            self.taken[entry.digest] = entry
        if entry.status != REFUSED:
            self.holds[entry.name] = entry.digest

    def counting(self) -> tuple[str, ...]:
        """The contents that count, in the order of arrival: what files hold now, or the newest of each data set."""
        if self.incremental:
            held = set(self.holds.values())
            return tuple(digest for digest in self.taken if digest in held)
        current = set(self.newest().values())
        return tuple(digest for digest in self.taken if digest in current)

    def newest(self) -> dict[str, str]:
        """The content that arrived last of each data set, by key."""
        return {key: digest for digest, entry in self.taken.items() for key in entry.keys}

    def state(self, without: str | None = None) -> State:
        """What has been counted, from the copies.

        Args:
            without: name of a file that is left out, unless another file has the same content.

        Raises:
            InsirenError: a copy is damaged.
        """
        found, held = State(self.incremental), {d for name, d in self.holds.items() if name != without}
        newest = self.newest()
        for digest in self.counting():
            if without is not None and digest not in held:
                continue
            sets = {one.name: one for one in read(self._copy(digest), trusted=True)}
            if not self.incremental:  # a content may be the newest of some of its data sets only
                sets = {key: one for key, one in sets.items() if newest[key] == digest}
            found = fold(found, sets)
        return found

    def take(self, name: str, digest: str, keyed: Mapping[str, sc.DataArray], neutrons: float) -> Entry:
        """Counts the content of a file from now on: first the copy, then the line.

        Raises:
            OSError: the disk is full; then it does not count.
        """
        write(list(keyed.values()), self._copy(digest))
        descriptor = os.open(self._copy(digest), os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(self.copies)
        return self._append(Entry(name, digest, TAKEN, "", tuple(keyed), neutrons))

    def refuse(self, name: str, digest: str, reason: str) -> Entry:
        """Puts a content aside, with the reason."""
        return self._append(Entry(name, digest, REFUSED, reason))

    def repeat(self, name: str, digest: str) -> Entry:
        """Notes that a file has a content that counts already."""
        return self._append(Entry(name, digest, DUPLICATE, self.taken[digest].name, self.taken[digest].keys))

    def _append(self, entry: Entry) -> Entry:
        append(self.path, {"time": now(), **entry._asdict()}, lasting=True)
        self._note(entry)
        return entry

    def tidy(self) -> None:
        """Removes copies that no longer count."""
        kept = {self._copy(digest) for digest in self.counting()}
        for copy in self.copies.iterdir():
            if copy not in kept and not self.incremental:
                copy.unlink(missing_ok=True)

    def _copy(self, digest: str) -> Path:
        return self.copies / f"{digest}.h5"
