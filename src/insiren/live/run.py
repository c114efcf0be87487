"""A run: looks at the directory, folds what is new, fits, and writes snapshots, until told to end.

Whatever the world does (a damaged file, a full disk, a vanished directory) is a line in the log and tried again at the
next look; what a defect of this package does is an exception as anywhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipp as sc

from insiren import __version__
from insiren.data.files import read, sandbox
from insiren.data.within import mask_text, within, without
from insiren.errors import FitError, InsirenError
from insiren.fit.pose import Posed
from insiren.live.box import Box, box_of, candidates, judged, with_plane
from insiren.live.fold import State, by_key, checked, fold, neutrons
from insiren.live.history import Answer, answer_of, earlier, moved, tension, thinned
from insiren.live.ledger import Ledger
from insiren.live.snapshots import Folder, LiveError, encoded, lines, now, replace
from insiren.live.stop import ODDS, Quality
from insiren.live.story import Story, snapshot_of
from insiren.live.update import Asked, Memory, Update, options, quality, searched, warmed, why_search
from insiren.live.watch import Watch, digest_of, signature

MOST_EVENTS = 100  # that a snapshot tells; the log has all
WORSE = 0.1  # of χ² per degree of freedom: a smaller growth needs no search
AGAIN_FOR_A_RIVAL = 1.2  # factor in neutrons since a search for the sake of a rival
SUSPECT = 3.0  # σ of tension, or of growth of the misfit, at which the box is searched again

_READERS = 2  # files read at once: most of the time goes into starting the processes that do
_UNUSABLE = (InsirenError, sc.DimensionError, ValueError)  # what a wrong file raises

Told = Callable[[str, str], None]  # (level, text)
Progress = Callable[[str, float], None]
Reads = Callable[[Path], list[sc.DataArray]]


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What a run is asked for besides its fit.

    Attributes:
        directory: that is watched.
        out: the folder of the run.
        targets: wanted half-widths of intervals by name, in the parameters' units.
        confidence: of these intervals.
        incremental: whether files add to each other, or the newest of a data set replaces the others.
        command: what the user typed, for the record.
        decide: values of parameters that are to be found right or wrong, by name.
        odds: that decide so.
        keep: lowest and highest value by axis, as `insiren.data.within` takes them; nothing else is counted.
        leave: masks, likewise; what any of them covers is not counted.
    """

    directory: Path
    out: Path
    targets: Mapping[str, float]
    confidence: float = 0.68
    incremental: bool = False
    command: str = ""
    decide: Mapping[str, float] = dataclasses.field(default_factory=dict)
    odds: float = ODDS
    keep: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    leave: Sequence[Mapping[str, tuple[float, float]]] = ()


class Seen(NamedTuple):
    """A file when it was looked at: its signature and digest; what it held, or why nothing; None: not read."""

    before: Any
    digest: str
    sets: list[sc.DataArray] | Exception | None


class Live:
    """One run; the folder must be held by this process (`only_writer`).

    Args:
        asked: the fit.
        wishes: what else.
        reads: gives the data sets of a file.
        told: told each line of the log.
        progress: told the stage of an update and the fraction done.

    Raises:
        LiveError: the folder is that of another run, or a target is no free parameter.
    """

    def __init__(
        self, asked: Asked, wishes: Wishes, reads: Reads = read, told: Told = lambda level, text: None,
        progress: Progress = lambda stage, fraction: None,
    ):  # fmt: skip
        self.asked, self.wishes, self.reads, self.told, self.progress = asked, wishes, reads, told, progress
        known = [p.name for p in asked.forward.parameters]
        for option, names in (("--target", wishes.targets), ("--decide", wishes.decide)):
            if strange := [n for n in names if n.partition("[")[0] not in known]:
                raise LiveError(f"{option} {strange[0]}: no parameter is called that; there are {', '.join(known)}.")
        _check_asked(asked, wishes.decide)
        wishes.out.mkdir(parents=True, exist_ok=True)
        self._claim()
        self.folder = Folder(wishes.out)
        self.ledger = Ledger(wishes.out, wishes.incremental)
        self.watch = Watch(wishes.directory)
        self.state: State = self.ledger.state()
        self.gone = False
        self.events: list[str] = []
        self.new_files: list[str] = []
        self.memory: Memory | None = None
        self.box: Box | None = None
        self.quality: Quality | None = None  # of the last answer
        self.rivalled = 0.0  # neutrons at the last search for the sake of a rival
        self.history: tuple[Answer, ...] = ()
        self.number, self.fitted = 0, ()
        self._resume()
        self.tried = self.fitted

    def _claim(self) -> None:
        """Writes what this run is, or makes sure that it is the one that is there."""
        path, what = self.wishes.out / "live.json", self.asked.forward.describe()
        same = {
            **{key: what.get(key) for key in ("model", "forward", "digest")},
            "directory": str(self.wishes.directory.absolute()),
            "incremental": self.wishes.incremental,
            "range": self.wishes.keep,
            "masks": [mask_text(mask) for mask in self.wishes.leave],
            "options": options(self.asked.wish, self.asked.wanted, self.asked.starts, self.asked.seed),
        }
        same = json.loads(encoded(same))
        there = next(lines(path), None)
        if there is not None:
            there.setdefault("masks", [])  # a run of a version that had none
        if there is None and any(one.name not in (".lock", "live.json") for one in self.wishes.out.iterdir()):
            raise LiveError(f"{self.wishes.out} holds something that is no run of insiren live; name another --out.")
        if there is not None and (other := [key for key in same if there.get(key) != same[key]]):
            raise LiveError(
                f"{self.wishes.out} is another run: its {', '.join(other)} differ. Name another --out, or go on with "
                "the same model, directory and options."
            )
        started = now() if there is None else there["started"]
        wished = {
            "targets": self.wishes.targets, "confidence": self.wishes.confidence, "decide": self.wishes.decide,
            "odds": self.wishes.odds,
        }  # fmt: skip
        replace(path, encoded({**same, **wished, "started": started, "insiren": __version__}) + b"\n")

    def _resume(self) -> None:
        """Takes up the history where the last snapshot left it."""
        for number in self.folder.numbers():
            self.number = number
            try:
                content = self.folder.fit(number)
                self.history = thinned((*self.history, answer_of(content)))
                self.fitted = tuple(content["live"]["contents"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                self.say("warning", f"snapshot {number} cannot be read ({error}) and is left out of the history.")
        if self.number:
            self.say("info", f"goes on after snapshot {self.number}, {self.state.neutrons:,.0f} neutrons counted.")

    def say(self, level: str, text: str) -> None:
        """One line for people: into the log, and to whoever is told."""
        self.folder.log(level, text)
        self.told(level, text)

    def look(self) -> bool:
        """Takes what has become whole in the directory; whether there is something to fit that was not fitted."""
        try:
            names = self.watch.look()
            if self.gone:
                self.gone = False
                self.say("info", f"{self.wishes.directory} is there again.")
        except OSError as error:
            if not self.gone:
                self.gone = True
                self.say(
                    "error", f"{self.wishes.directory} cannot be read ({error.strerror or error}); waiting for it."
                )
            names = []
        with contextlib.suppress(InsirenError):  # where there is no process to be had, reading says so
            sandbox.prepare(min(_READERS, self.watch.moving))
        with ThreadPoolExecutor(_READERS) as pool:
            for n in range(0, len(names), _READERS):
                some = names[n : n + _READERS]
                for name, seen in list(zip(some, pool.map(self._see, some), strict=True)):
                    self._consider(name, seen)
        return self.ledger.counting() != self.tried and bool(self.state.totals)

    def _see(self, name: str) -> Seen | OSError:
        """What a file holds, read only where its content is new."""
        path = self.wishes.directory / name
        try:
            before, digest = signature(path.stat()), digest_of(path)
            held = self.ledger.latest.get(name)
            known = digest in self.ledger.taken or (held is not None and held.digest == digest)
            return Seen(before, digest, None if known else self._read(path))
        except OSError as error:
            return error

    def _read(self, path: Path) -> list[sc.DataArray] | Exception:
        """The data sets of a file, or why there are none."""
        try:
            sets = (within(checked(one), self.wishes.keep) for one in self.reads(path))
            return [without(one, self.wishes.leave) for one in sets]
        except _UNUSABLE as error:
            return error

    def _consider(self, name: str, seen: Seen | OSError) -> None:
        """Takes one file, or says why not."""
        path = self.wishes.directory / name
        try:
            if isinstance(seen, OSError):
                raise seen
            known = self.ledger.latest.get(name)
            if known is not None and known.digest == seen.digest:
                self.watch.finish(name, seen.before)
            elif seen.digest in self.ledger.taken:
                entry = self.ledger.repeat(name, seen.digest)
                self._refold()
                self.watch.finish(name, seen.before)
                self.say("info", f"{name} has the content of {entry.reason} and is not counted again.")
            elif self._take(path, seen):
                self.watch.finish(name, seen.before)
        except OSError as error:
            self.say("error", f"{name} was not taken ({error.strerror or error}); it is tried again.")

    def _take(self, path: Path, seen: Seen) -> bool:
        """Counts a file or puts it aside; False where it changed since it was looked at."""
        digest, sets = seen.digest, self._read(path) if seen.sets is None else seen.sets
        if signature(path.stat()) != seen.before:
            return False
        try:
            if isinstance(sets, Exception):
                raise sets
            keyed = by_key(self.state, sets, path.stem)
            state = fold(*self._without(path.name, keyed))
        except _UNUSABLE as error:
            self.ledger.refuse(path.name, digest, str(error))
            self.say("warning", f"{path.name} is put aside: {error}")
            return True
        held = sum(map(neutrons, keyed.values()))
        for key, one in keyed.items():
            there = self.state.totals.get(key)
            if not self.wishes.incremental and there is not None and neutrons(one) < neutrons(there):
                self._event("warning", f"{path.name} holds fewer neutrons of {key} than before; it replaces them.")
            if key not in self.state.totals:
                self._event("info", f"{key} is a new data set ({' × '.join(map(str, one.shape))}), from {path.name}.")
        self.ledger.take(path.name, digest, keyed, held)
        self.state = state
        self.new_files = [*self.new_files, path.name]
        self.say("info", f"{path.name}: {held:,.0f} neutrons.")
        return True

    def _event(self, level: str, text: str) -> None:
        self.events = [*self.events[1 - MOST_EVENTS :], text]
        self.say(level, text)

    def _without(
        self, name: str, keyed: dict[str, sc.DataArray]
    ) -> tuple[State, dict[str, sc.DataArray], tuple[str, ...]]:
        """What `fold` needs: the state without what a file of this name held before, which its new content replaces."""
        digest = self.ledger.holds.get(name)
        if digest is not None and self.wishes.incremental:
            return self.ledger.state(without=name), keyed, ()
        newest = self.ledger.newest()
        return self.state, keyed, tuple(key for key in keyed if digest is not None and newest.get(key) == digest)

    def _refold(self) -> None:
        """Works the state out from the ledger, where a file gave up a content."""
        if self.wishes.incremental:
            self.state = self.ledger.state()

    def update(self) -> int | None:
        """Fits all counts so far and writes a snapshot: its number, or None where that was not possible."""
        counting = self.ledger.counting()
        begun = time.monotonic()
        try:
            found = self._fit()
            self.memory = found.memory
            self.box = with_plane(box_of(found.memory.problem, self.box, self.asked.seed, self.progress), found.fit,
                                  self.progress)  # fmt: skip
            split, landscape = judged(found.fit, self.box)
            if split is not None and split.better and self.state.neutrons > AGAIN_FOR_A_RIVAL * self.rivalled:
                self.rivalled = self.state.neutrons
                found = self._search("another point of it describes the data better than the answer")
                split, landscape = judged(found.fit, self.box)
        except InsirenError as error:
            self.tried = counting
            self.say("warning", f"no answer with {self.state.neutrons:,.0f} neutrons: {error}")
            return None
        if not np.isfinite(found.fit.objective_value):
            self.tried = counting
            self.say("warning", f"no answer with {self.state.neutrons:,.0f} neutrons: the likelihood is not finite.")
            return None
        number = self.number + 1
        fit = found.fit
        quoted = {name: fit.total_errors[name] for name in fit.names}
        answer = Answer(number, self.state.neutrons, fit.names, fit.theta, fit.covariance, quoted=quoted)
        before = earlier(self.history, answer)
        answer = answer._replace(tension=None if before is None else tension(before, answer))
        history = thinned((*self.history, answer))
        story = Story(
            number, self.state.neutrons, len(self.ledger.counting()), counting, found.searched, tuple(self.events),
            tuple(self.new_files), history, before,
            None if split is None else split.share, quality(found.fit), self.wishes.command, landscape,
            {"update": round(time.monotonic() - begun, 3)},
        )  # fmt: skip
        wishes = self.wishes
        content = snapshot_of(found.fit, story, wishes.targets, wishes.confidence, wishes.decide, wishes.odds)
        try:
            self.folder.write(number, content)
        except OSError as error:
            self.say("error", f"snapshot {number} cannot be written ({error.strerror or error}); it is tried again.")
            return None
        self.number, self.history, self.memory = number, history, found.memory
        self.fitted = self.tried = counting
        self.events, self.new_files, self.quality = [], [], quality(found.fit)
        self.ledger.tidy()
        self.say("info", f"snapshot {number}: {self.state.neutrons:,.0f} neutrons, {_shown(found.fit)}.")
        return number

    def _fit(self) -> Update:
        """The answer, from the last one where that is enough."""
        sets, count = self._filled(), self.state.neutrons
        reason = why_search(self.memory, sets, count)
        if reason is not None or self.memory is None:
            return self._search(reason or "there is no answer yet")
        warm = warmed(self.asked, sets, self.memory)
        if warm is None:
            return self._search("the last answer leads to no minimum")
        if self._suspect(warm, count):
            return self._search("the answer moved by more than its errors allow, or its misfit grew")
        return warm

    def _search(self, reason: str) -> Update:
        """The answer after a search of the box."""
        self._event("info", f"searches the box: {reason}.")

        def likely(made: Posed) -> list[np.ndarray]:
            self.box = box_of(made.problem, self.box, self.asked.seed, self.progress)
            return candidates(made, self.box)

        return searched(self.asked, self._filled(), self.state.neutrons, likely, self.memory, self.progress)

    def _filled(self) -> list[sc.DataArray]:
        """The data sets that hold any neutron; no likelihood can be weighted without one."""
        found = [one for one in self.state.sets if neutrons(one) > 0]
        if not found:
            raise FitError("no neutron has been counted")
        return found

    def _suspect(self, warm: Update, count: float) -> bool:
        """Whether a warm answer disagrees with the last one, or describes the data worse."""
        if not self.history:
            return False
        described = quality(warm.fit)
        if described is not None and self.quality is not None:
            noise = SUSPECT * float(np.hypot(described.sigma, self.quality.sigma))
            if described.reduced - self.quality.reduced > max(WORSE, noise):
                return True
        answer = Answer(0, count, warm.fit.names, warm.fit.theta, warm.fit.covariance)
        before = [earlier(self.history, answer), self.history[-1]]
        alike = [one for one in before if one is not None and one.names == answer.names and one.neutrons < count]
        return any((tension(one, answer) or 0.0) > SUSPECT or moved(one, answer) > SUSPECT for one in alike)


def _check_asked(asked: Asked, decide: Mapping[str, float]) -> None:
    """Refuses a question about a value that no answer can have.

    Raises:
        LiveError: it lies outside the bounds.
    """
    bounds = {p.name: (p.min, p.max) for p in asked.forward.parameters} | dict(asked.wanted.bounds or {})
    for name, value in decide.items():
        low, high = bounds.get(name, bounds[name.partition("[")[0]])
        if not low <= value <= high:
            raise LiveError(
                f"--decide {name}={value:g}: the bounds are {low:g} … {high:g}, so that no answer can be that; widen "
                f"them with --bound {name}=LO:HI."
            )


def _shown(fit: Any) -> str:
    """The free parameters in words."""
    parts = []
    for name in fit.names:
        error = fit.total_errors[name]
        known = f"{fit.values[name]:.4g}" + ("" if error is None else f" ± {error:.2g}")
        parts.append(f"{name} {'not determined' if name in fit.undetermined else known}")
    return ", ".join(parts)
