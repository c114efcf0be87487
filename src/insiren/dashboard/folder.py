"""The snapshot folder as a reader sees it: whole files or nothing, and never a byte from outside."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

PARTS = ("fit.json", "maps.json", "landscape.json")
MOST_BYTES = 64_000_000  # of one file; a snapshot is below 2 MB, and a mistake should not fill the memory
LOG_LINES = 2000  # kept of the log
_NUMBER = re.compile(r"[0-9]{1,9}")
_FOLDER = re.compile(r"[0-9]{6,9}")
_LEVELS = ("info", "warning", "error")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One snapshot in the history.

    Attributes:
        number: of the snapshot.
        key: of its content; another one means that the folder was written anew.
        summary: what the page shows of past snapshots: parameters, neutrons, stop.
    """

    number: int
    key: str
    summary: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Line:
    """One event of the log.

    Attributes:
        number: counted from 1 over the whole log.
        event: its time, level and text.
    """

    number: int
    event: dict[str, str]


def snapshot_number(text: str) -> int | None:
    """A snapshot number from the address of a request; None where it is none."""
    return int(text) if _NUMBER.fullmatch(text) and int(text) > 0 else None


def contained(out: Path, *parts: str) -> Path | None:
    """A file or folder within `out`; None where it is missing or a link leads outside."""
    try:
        root, found = out.resolve(strict=True), out.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        return None
    return found if found.is_relative_to(root) else None


def read_whole(out: Path, *parts: str) -> bytes | None:
    """The content of a regular file within `out`; None where there is none, or it is absurdly large."""
    path = contained(out, *parts)
    try:
        if path is None or not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        return path.read_bytes()
    except OSError:
        return None


def read_object(out: Path, *parts: str) -> dict[str, Any] | None:
    """A JSON object from a file within `out`; None where there is none or it is not whole."""
    content = read_whole(out, *parts)
    try:
        value = None if content is None else json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def folder_of(number: int) -> str:
    return f"{number:06d}"


def numbers(out: Path) -> list[int]:
    """The numbers of all snapshot folders, ascending; other names are not looked at."""
    place = contained(out, "snapshots")
    try:
        names = [item.name for item in place.iterdir()] if place is not None else []
    except OSError:
        return []
    found = {int(name) for name in names if _FOLDER.fullmatch(name)}
    return sorted(n for n in found if n > 0 and folder_of(n) in names)


def read_part(out: Path, number: int, part: str) -> bytes | None:
    """One of `PARTS` of a snapshot; None where there is none."""
    return read_whole(out, "snapshots", folder_of(number), part) if part in PARTS else None


def packed(out: Path, number: int) -> bytes | None:
    """A snapshot as a zip file; None where there is none."""
    found = {part: content for part in PARTS if (content := read_part(out, number, part)) is not None}
    if "fit.json" not in found:
        return None
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in found.items():
            archive.writestr(f"snapshot-{folder_of(number)}/{part}", content)
    return target.getvalue()


def entry_of(out: Path, number: int) -> Entry | None:
    """The entry of a snapshot in the history; None where its fit.json is not a whole fit."""
    content = read_part(out, number, "fit.json")
    if content is None:
        return None
    try:
        fit = json.loads(content)
        parts = [p for p in PARTS if contained(out, "snapshots", folder_of(number), p) is not None]
        summary = {**_summary(fit, number), "parts": parts}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Entry(number, f"{zlib.crc32(content):08x}", summary)


def _summary(fit: dict[str, Any], number: int) -> dict[str, Any]:
    live, order = fit.get("live") or {}, list(fit.get("free") or ())
    stop = live.get("stop") or {}
    return {
        "number": number,
        "time": str(live.get("time") or ""),
        "neutrons": _finite(live.get("neutrons")),
        "files": _finite(live.get("files")),
        "chi2_reduced": _finite(fit.get("chi2_reduced")),
        "parameters": {
            str(name): {
                "value": _finite(one["value"]),
                "error": _finite(one.get("total_error", one["error"])),
                "unit": str(one["unit"] or ""),
            }
            for name, one in sorted(fit["parameters"].items(), key=lambda pair: _place(order, pair[0]))
            if not one["fixed"]
        },
        "stop": {"advised": bool(stop.get("advised")), "missing": len(stop.get("missing") or ())},
    }


def _place(order: list[Any], name: str) -> int:
    """Where a parameter comes in the order of the model; the rest comes after."""
    return order.index(name) if name in order else len(order)


def _finite(value: Any) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


class LogFile:
    """Reads what has been appended to log.jsonl since the last time; a torn last line waits for its rest."""

    def __init__(self, out: Path) -> None:
        self.out, self.offset, self.count = out, 0, 0

    def shorter(self) -> bool:
        """Whether less is there than was read: the log was deleted or written anew."""
        path = contained(self.out, "log.jsonl")
        try:
            return self.offset > 0 and (path is None or path.stat().st_size < self.offset)
        except OSError:
            return True

    def appended(self) -> list[Line]:
        """The new lines. Lines that are not an event are counted but left out."""
        path = contained(self.out, "log.jsonl")
        try:
            if path is None or not path.is_file():
                return []
            with path.open("rb") as file:
                file.seek(self.offset)
                content = file.read(MOST_BYTES)
        except OSError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self.offset += len(whole)
        lines = []
        for raw in whole.splitlines():
            self.count += 1
            if (event := _event(raw)) is not None:
                lines.append(Line(self.count, event))
        return lines


def _event(raw: bytes) -> dict[str, str] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or "text" not in value:
        return None
    level = str(value.get("level"))
    return {
        "time": str(value.get("time") or ""),
        "level": level if level in _LEVELS else "info",
        "text": str(value["text"]),
    }
