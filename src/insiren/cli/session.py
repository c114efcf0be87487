"""What the commands share: options, progress, and files that appear whole."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from insiren.errors import InsirenError

if TYPE_CHECKING:
    import scipp as sc

    from insiren.forward import Forward

Json = Annotated[
    Path | None, typer.Option("--json", help="Write the result as JSON to this file; - is standard output.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of all random numbers.")]
ForwardName = Annotated[
    str,
    typer.Argument(
        metavar="FORWARD", help="A bundled model, a TOML file (the exact simulator), or a .insiren surrogate."
    ),
]
DataNames = Annotated[
    list[Path], typer.Argument(metavar="DATA...", help="Measured files, folders or fetched names, taken together.")
]


AXES = ("E", "h", "k", "l", "Q_abs")  # of --range and --mask

Mask = Annotated[
    list[str],
    typer.Option(
        "--mask",
        metavar='"AXIS=LO:HI; …"',
        help='Leave out where all ranges hold, "h=0.4:0.6; E=30:40", or FILE, a mask a line.',
    ),
]


class UsageError(InsirenError):
    """An option that cannot be understood."""


def say(text: str) -> None:
    """A line for people, on standard error."""
    print(text, file=sys.stderr)


_TOLD_EVERY = 10.0  # s between two lines of progress where nobody sees a bar
_STAGES = {
    "read": "reading", "search": "searching the box", "compile": "compiling", "fit": "descending on all pixels",
    "choose": "comparing weights and backgrounds", "errors": "working out errors", "landscape": "drawing the landscape",
    "report": "writing the report",
}  # fmt: skip


class Timer:
    """Progress bars on standard error, or a line every ten seconds in a pipe, and the seconds that each stage took."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        console = Console(stderr=True)
        self.bars = Progress(*columns, console=console, transient=True)
        self.piped = not console.is_terminal
        self.begun, self.done, self.ended = time.perf_counter(), 0.0, threading.Event()
        self.seconds: dict[str, float] = {}
        self.stage, self.since, self.task = "", time.perf_counter(), None

    def __enter__(self) -> Timer:
        self.bars.start()
        if self.piped:
            self.ended = threading.Event()
            threading.Thread(target=self._tell, args=(self.ended,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._close()
        self.bars.stop()

    def _tell(self, ended: threading.Event) -> None:
        """Says every ten seconds what is being done, so that a log shows that something is."""
        while not ended.wait(_TOLD_EVERY):
            if stage := self.stage:
                part = f", {self.done:.0%} of it" if self.done else ""
                say(f"{_STAGES.get(stage, stage)}{part}; {time.perf_counter() - self.begun:.0f} s since the start")

    def _close(self) -> None:
        if self.stage:
            self.seconds[self.stage] = round(self.seconds.get(self.stage, 0.0) + time.perf_counter() - self.since, 3)
            self.stage = ""  # so that no stage is counted twice where the bars open again

    def __call__(self, stage: str, fraction: float, note: str = "") -> None:
        self.done = fraction
        if stage != self.stage:
            self._close()
            self.stage, self.since = stage, time.perf_counter()
            if self.task is not None:
                self.bars.remove_task(self.task)
            self.task = self.bars.add_task(stage, total=1.0, note=note)
        if self.task is not None:
            self.bars.update(self.task, completed=fraction, note=note)


def load_forward(name: str, refine: int = 1) -> Forward:
    """A model as the exact simulator, or a surrogate: by file, or bundled."""
    if name.endswith(".insiren"):
        from insiren.surrogate.store import bundled_path, load_surrogate

        return load_surrogate(bundled_path(name) or name)
    from insiren.instrument.exact import exact
    from insiren.model.spec import load_model

    return exact(load_model(name), refine)


def read_all(
    paths: list[Path],
    hints: dict[str, Any] | None = None,
    ranges: list[str] | None = None,
    masks: list[str] | None = None,
) -> list[sc.DataArray]:
    """The data sets of all paths, each reader told what it has a use for.

    Args:
        paths: files, folders, or names of fetched measurements; an existing path wins.
        hints: what the files may lack, by the name of the reader's option.
        ranges: what is kept of each, as AXIS=LO:HI.
        masks: what is left out of each, as `masks_of` takes it.
    """
    leave, spans = masks_of(masks or []), spans_of(ranges or [])
    sets = _read_all(paths, hints)
    if not (leave or spans):
        return sets
    from insiren.data.within import mask_text, within, without

    sets = [within(one, spans) for one in sets] if spans else sets
    for mask in leave:
        left = [without(one, [mask]) for one in sets]
        if all(a is b for a, b in zip(left, sets, strict=True)):
            raise UsageError(
                f"--mask {mask_text(mask)} covers no pixel of the data, so that nothing would be left out; insiren "
                "inspect shows the ranges of their axes."
            )
        sets = left
    return sets


def spans_of(ranges: list[str]) -> dict[str, tuple[float, float]]:
    """Lowest and highest value by axis, of what --range is given."""
    return {name: span_of(text, f"--range {name}") for name, text in pairs(ranges, "--range").items()}


def masks_of(given: list[str]) -> list[dict[str, tuple[float, float]]]:
    """Masks of what --mask is given, "h=0.4:0.6; E=30:40" each, or files with one such line a mask."""
    texts = []
    for text in given:
        if "=" in text:
            texts.append((text, "--mask"))
        elif (file := Path(text)).is_file():
            lines = (line.partition("#")[0].strip() for line in file.read_text("utf-8", "replace").splitlines())
            texts += [(line, f"--mask {file}") for line in lines if line]
        else:
            raise UsageError(f'--mask {text}: neither a file nor ranges, such as --mask "h=0.4:0.6; E=30:40".')
    masks = []
    for text, option in texts:
        ranges = pairs([part for part in text.split(";") if part.strip()], option)
        if unknown := [name for name in ranges if name not in AXES]:
            raise UsageError(f"{option} {text!r}: {unknown[0]} is no axis; write {', '.join(AXES)}.")
        masks.append({name: span_of(at, f"{option} {name}") for name, at in ranges.items()})
    return masks


def mask_texts(given: list[str]) -> list[str]:
    """The same masks, a text each, for the record."""
    from insiren.data.within import mask_text

    return [mask_text(mask) for mask in masks_of(given)]


def _read_all(paths: list[Path], hints: dict[str, Any] | None) -> list[sc.DataArray]:
    """The data sets of all paths, whole."""
    from insiren.data.files import options_of, read

    hints, places = hints or {}, [found_data(path) for path in paths]
    if not hints:  # recognising a file costs a process of its own where it is HDF5
        return [one for place in places for one in read(place)]
    takes = [options_of(place) for place in places]
    if idle := [name for name in hints if not any(name in options for options in takes)]:
        known = ", ".join(sorted({name for options in takes for name in options})) or "none"
        raise UsageError(
            f"{', '.join(idle)}: none of these files has a use for that. Options of their readers: {known}."
        )
    return [
        one
        for place, options in zip(places, takes, strict=True)
        for one in read(place, **{name: value for name, value in hints.items() if name in options})
    ]


def found_data(path: Path) -> Path:
    """An existing path, else the folder of the measurement that was fetched by this name."""
    if path.exists():
        return path
    from insiren.data.fetch import PUBLISHED, fetched

    if (name := str(path)) not in PUBLISHED:
        return path
    if (folder := fetched(name)) is None:
        raise UsageError(f"{name} is a published measurement that is not on this machine yet: insiren fetch {name}")
    return folder


def assumptions(data: list[sc.DataArray]) -> dict[str, list[str]]:
    """What the readers found and took for granted, by data set."""
    from insiren.data.summary import assumed, left, noted

    return {one.name: [*left(one), *noted(one), *assumed(one)] for one in data}


def doubts(data: list[sc.DataArray]) -> list[str]:
    """What of the data cannot be right, with the name of the data set."""
    from insiren.data.doubtful import doubtful

    return [f"{one.name}: {line}" for one in data for line in doubtful(one)]


def pairs(given: list[str], option: str) -> dict[str, str]:
    """NAME=TEXT options as a dict."""
    found = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not (name.strip() and equals and text.strip()):
            raise UsageError(f"{option} {item!r}: write it as NAME=VALUE.")
        found[name.strip()] = text.strip()
    return found


def number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{what}: {text!r} is not a number.") from None
    if not math.isfinite(value):
        raise UsageError(f"{what}: {text!r} is not finite.")
    return value


def numbers(given: list[str], option: str) -> dict[str, float]:
    return {name: number(text, f"{option} {name}") for name, text in pairs(given, option).items()}


def span_of(text: str, option: str) -> tuple[float, float]:
    low, colon, high = text.partition(":")
    if not colon:
        raise UsageError(f"{option} {text!r}: write the range as LO:HI.")
    span = number(low, option), number(high, option)
    if not span[0] < span[1]:
        raise UsageError(f"{option} {text!r}: LO must lie below HI.")
    return span


def write_json(content: dict[str, Any], path: Path | None) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    if path is None:
        return
    if str(path) == "-":
        print(text)
        return
    with whole_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that becomes it on success, and vanishes otherwise."""
    check_file(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes it on success; an existing empty one is accepted."""
    path = path.absolute()
    check_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    temporary.chmod(0o755)
    try:
        yield temporary
        if path.is_dir():
            path.rmdir()  # empty, or this raises and nothing is lost
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_folder(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists and is not an empty folder; name another --out, or remove it.")


def check_file(path: Path | None, out: Path | None = None) -> None:
    """Refuses a file that could not be written in the end, unless its folder is `out`, which is made on the way."""
    if path is None or str(path) == "-" or path.parent.is_dir():
        return
    if out is None or path.absolute().parent != out.absolute():
        raise UsageError(f"The folder {path.parent} does not exist, so {path.name} cannot be written there.")


def rounded(value: float, error: float | None) -> str:
    from insiren.report import value_text

    return value_text(value, error)


def facts(seconds: dict[str, float]) -> dict[str, Any]:
    return {"command": " ".join(["insiren", *sys.argv[1:]]), "seconds": seconds}
