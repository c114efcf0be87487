"""What is wrong with a model file, in words: which key, what is there, what to write."""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from insiren.model.tables import Table

Key = tuple[str | int, ...]  # such as ("bond", 0, "exchange")
_SHOWN = 60  # characters of what was found
_EXAMPLE = "`insiren models --example` prints a file with every key"


def explained(error: ValidationError, root: type[Table], content: Mapping[str, Any]) -> list[str]:
    """One line for each key that is wrong, in the order of the file's tables.

    A key that may hold several kinds of thing is wrong in several ways at once; it is named once, by what its
    description says may stand there, unless something within it is nearer to the mistake.

    Args:
        error: of validating the content.
        root: the table of the whole file.
        content: what the file holds.
    """
    found: dict[Key, str] = {}
    for item in error.errors():
        unknown = item["type"] == "extra_forbidden"
        place = _place(item["loc"], root, unknown)
        if item["type"] == "value_error":
            found[place.key] = _own(place.key, item["msg"])  # it knows more than that nothing fits
        elif unknown:
            found.setdefault(place.key, _unknown(place.key, place.table))
        else:
            found.setdefault(place.field, _wrong(place, content))
    deeper = lambda key: any(len(other) > len(key) and other[: len(key)] == key for other in found)  # noqa: E731
    return [line for key, line in found.items() if not key or not deeper(key)]


def _own(key: Key, message: str) -> str:
    """What a check of ours says, at its table."""
    text = message.removeprefix("Value error, ")
    end = "" if text.endswith((".", "?")) else "."
    return f"{_dotted(key)}: {text}{end}" if key else f"{text}{end}"


def _unknown(key: Key, table: type[Table]) -> str:
    known = (*table.model_fields, *table.resolved)
    close = difflib.get_close_matches(str(key[-1]), known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{_dotted(key)}: unknown key{hint} Known here: {', '.join(known)}."


def _wrong(place: _Place, content: Mapping[str, Any]) -> str:
    """That a key is missing or holds what it may not, and what may stand there."""
    held = _at(content, place.field)
    if held is None:
        return f"{_dotted(place.field)}: this key is needed and missing; write {place.wanted}."
    return f"{_dotted(place.field)}: {_shown(held)} is not allowed; write {place.wanted}."


class _Place(NamedTuple):
    """Where a mistake is.

    Attributes:
        key: all that leads to it, rows of a matrix included.
        field: the same up to the last name.
        wanted: what may stand there.
        table: the innermost table.
    """

    key: Key
    field: Key
    wanted: str
    table: type[Table]


def _place(loc: tuple[str | int, ...], root: type[Table], unknown: bool) -> _Place:
    """Where a mistake is, without the names of kinds between the keys: of those of which one would have to fit.

    Args:
        loc: as pydantic gives it.
        root: the table of the whole file.
        unknown: whether the last part is a key that its table does not have.
    """
    key: list[str | int] = []
    table, within, wanted, end = root, [root], "", 0
    for step, part in enumerate(loc):
        tables = [one for one in within if _is_table(one)]
        inside = [kind for one in within for inner in typing.get_args(one) for kind in _kinds(inner)]
        if fitting := [one for one in tables if part in one.model_fields]:
            table, field = fitting[0], fitting[0].model_fields[str(part)]
            wanted, within = field.description or "", _kinds(field.annotation)
        elif isinstance(part, int) or any(typing.get_origin(one) is dict for one in within):
            within = inside
        elif unknown and step == len(loc) - 1:
            table = tables[0] if tables else table
        else:
            continue
        key.append(part)
        end = end if isinstance(part, int) else len(key)
    return _Place(tuple(key), tuple(key[:end]), wanted, table)


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table)


def _kinds(annotation: Any) -> list[Any]:
    """The kinds of which a field may be one."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [kind for one in typing.get_args(annotation) for kind in _kinds(one)]
    return [annotation]


def _at(content: Any, key: Key) -> Any:
    """What a file holds at a key, or None."""
    for part in key:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _dotted(key: Key) -> str:
    return ".".join(map(str, key))


def _shown(value: Any) -> str:
    """A value as a model file would hold it, cut where it is long."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple) and any(isinstance(x, Mapping) for x in value):
        return "a list of tables"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else _plain(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value)


def not_toml(error: tomllib.TOMLDecodeError | RecursionError, text: str) -> str:
    """What hinders a text from being read as TOML: "is not …", with the line."""
    words, _, place = str(error).partition(" (at ")  # of too deep a nesting there is no place
    number = place.removeprefix("line ").split(",")[0]
    line = text.split("\n")[int(number) - 1].strip()[:_SHOWN] if number.isdecimal() else ""
    why = next((ours for theirs, ours in _TOML.items() if words.startswith(theirs)), "")
    where = f" at line {number} ({line})" if line else " at its end" if place else ""
    return f"is not a model file in TOML: it cannot be read{where}{why and f': {why}'}. {_EXAMPLE}."


_TOML = {
    "Cannot overwrite": "a key is given twice in one table",
    "Cannot declare": "a table is there twice; sites and bonds stand in double brackets, [[bond]]",
    "Cannot mutate": "a table is there twice",
    "Invalid value": "a text needs quotes, true and false are small, a decimal has a digit on both sides of its point",
    "Expected '='": "a key is followed by = and its value",
    "Expected ']'": "a bracket is not closed",
    "Unclosed array": "a bracket is not closed",
    "Expected newline": "a key and its value stand on a line of their own, and a decimal has a point",
    "Unclosed inline table": "a brace is not closed",
    "maximum recursion": "brackets are nested too deeply",
    "Unterminated string": "a quotation mark is missing",
    "Illegal character": "a quotation mark is missing, or a character has no place there",
    "Invalid statement": "a line is a [table] or KEY = VALUE",
    "Invalid initial character": "a key has letters, digits and _; any other stands in quotes",
}
