"""One task looks at the folder and tells all readers what is new."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import json
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from insiren.dashboard.folder import LOG_LINES, Entry, Line, LogFile, entry_of, numbers, read_whole

INTERVAL = 0.5  # seconds between two looks at the folder
BEAT = 10.0  # seconds between signs of life to a reader, below the patience of proxies
QUEUE = 256  # events that a reader may lag behind before it is told to come again
READERS = 500  # at once


@dataclasses.dataclass(frozen=True)
class Found:
    """What one look at the folder has found.

    Attributes:
        anew: whether another run has taken the place of the one that was known.
        epoch: names the run.
        run: the content of live.json.
        entries: new snapshots, ascending.
        lines: new lines of the log.
    """

    anew: bool
    epoch: str
    run: bytes
    entries: list[Entry]
    lines: list[Line]


class Watch:
    """What is known of a folder, and who is to be told.

    Attributes:
        epoch: names the run; it changes when live.json does, or when snapshots or the log start again.
        entries: by number; a snapshot that was read once is never read again.
        lines: the last of the log.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.epoch, self.run = "0", b"{}"
        self.entries: dict[int, Entry] = {}
        self.lines: collections.deque[Line] = collections.deque(maxlen=LOG_LINES)
        self.log = LogFile(out)
        self.readers: set[asyncio.Queue[bytes | None]] = set()

    @property
    def newest(self) -> int:
        """The number of the newest snapshot, 0 where there is none."""
        return max(self.entries, default=0)

    @property
    def last_line(self) -> int:
        """The number of the last line of the log, 0 where there is none."""
        return self.lines[-1].number if self.lines else 0

    def look(self) -> Found:
        """Looks at the folder once, changing nothing that readers see, so that a thread may do it."""
        run, there = read_whole(self.out, "live.json") or b"{}", numbers(self.out)
        fewer = (bool(self.entries) and max(there, default=0) < self.newest) or self.log.shorter()
        anew = fewer or run != self.run
        if anew:
            self.log = LogFile(self.out)
        known = set() if anew else set(self.entries)
        entries = [one for n in there if n not in known and (one := entry_of(self.out, n)) is not None]
        salt = str(time.time_ns()) if fewer else ""
        epoch = f"{zlib.crc32(run + salt.encode()):08x}" if anew else self.epoch
        return Found(anew, epoch, run, entries, self.log.appended())

    def take(self, found: Found) -> list[bytes]:
        """Takes over what a look has found.

        Returns:
            What is new, as server-sent events; their ids say up to where a reader then knows everything.
        """
        if found.anew:
            self.epoch, self.run, self.entries = found.epoch, found.run, {}
            self.lines.clear()
        before = self.last_line
        self.entries.update({one.number: one for one in found.entries})
        self.lines.extend(found.lines)
        if found.anew:
            return [self._event("reset", {"epoch": self.epoch}, self.newest, self.last_line)]
        return [self._event("snapshot", told(one), one.number, before) for one in found.entries] + [
            self._event("log", told(line), self.newest, line.number) for line in found.lines
        ]

    async def run_for_ever(self) -> None:
        """Looks every half second, in a thread so that a slow disk holds nobody up."""
        while True:
            for event in self.take(await asyncio.to_thread(self.look)):
                self.tell(event)
            await asyncio.sleep(INTERVAL)

    def tell(self, event: bytes | None) -> None:
        """Puts an event before all readers; None ends their streams."""
        for queue in list(self.readers):
            if queue.full():  # it reads too slowly: it is cut off, and asks again for what it missed
                self.readers.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    def close(self) -> None:
        """Sends all readers home."""
        self.tell(None)

    async def events(self, last: str) -> AsyncIterator[bytes]:
        """Server-sent events from where a reader left off.

        Args:
            last: the id of the last event it saw, "" for none.
        """
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)
        self.readers.add(queue)
        try:
            yield b"retry: 2000\n\n" + b"".join(self._missed(last)) + self._beat()
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), BEAT)
                except TimeoutError:
                    event = self._beat()
                if event is None:
                    return
                yield event
        finally:
            self.readers.discard(queue)

    def _missed(self, last: str) -> list[bytes]:
        if not last:
            return []
        epoch, _, rest = last.partition("-")
        number, _, line = rest.partition("-")
        if epoch != self.epoch or not (number.isdecimal() and line.isdecimal()):
            return [self._event("reset", {"epoch": self.epoch}, self.newest, self.last_line)]
        later = [one for n, one in sorted(self.entries.items()) if n > int(number)]
        return [self._event("snapshot", told(one), one.number, int(line)) for one in later] + [
            self._event("log", told(one), self.newest, one.number) for one in self.lines if one.number > int(line)
        ]

    def _beat(self) -> bytes:
        content = {"epoch": self.epoch, "newest": self.newest, "now": time.time()}
        return self._event("beat", content, self.newest, self.last_line)

    def _event(self, kind: str, content: dict[str, Any], number: int, line: int) -> bytes:
        data = json.dumps(content, ensure_ascii=False, allow_nan=False)
        return f"event: {kind}\nid: {self.epoch}-{number}-{line}\ndata: {data}\n\n".encode()


def told(one: Entry | Line) -> dict[str, Any]:
    """A snapshot or a line of the log as readers are told of it."""
    return {**one.summary, "key": one.key} if isinstance(one, Entry) else {"number": one.number, **one.event}
