"""Options that tell a reader what its file lacks, the same for every command that reads data."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from insiren.cli.session import UsageError, number, pairs, span_of

_PANEL, _MEANING = "What a data file lacks", "What a data file means, where the reader took it otherwise"


def _option(flag: str, shape: str, help_: str, panel: str = _PANEL) -> Any:
    return Annotated[str | None, typer.Option(flag, metavar=shape, help=help_, rich_help_panel=panel)]


_meant = functools.partial(_option, panel=_MEANING)


def _numbers(text: str, flag: str, *lengths: int) -> tuple[float, ...]:
    found = tuple(number(cell, flag) for cell in text.replace(" ", ",").split(",") if cell)
    if len(found) not in lengths:
        needed = " or ".join(map(str, lengths))
        raise UsageError(f"{flag} {text!r}: {needed} numbers with commas between are needed, not {len(found)}.")
    return found


def _lattice(text: str, flag: str) -> tuple[float, ...]:
    found = _numbers(text, flag, 3, 6)
    return found if len(found) == 6 else (*found, 90.0, 90.0, 90.0)


def _vector(text: str, flag: str) -> tuple[float, ...]:
    return _numbers(text, flag, 3)


def _direction(text: str, flag: str) -> Any:
    return text if text == "powder" else _vector(text, flag)


def _cut(text: str, flag: str) -> dict[str, Any]:
    """Ranges by axis; labels such as [H,H,0] hold commas, so that semicolons part them."""
    ranges = pairs([part for part in text.split(";") if part.strip()], flag)
    return {axis: span_of(at, flag) if ":" in at else number(at, flag) for axis, at in ranges.items()}


def _anything(text: str, flag: str) -> Any:
    """Numbers where there are nothing else, and else the text; a whole number may count something."""
    try:
        found = tuple(float(cell) for cell in text.split(","))
    except ValueError:
        return text
    if len(found) != 1:
        return found
    return int(text) if text.isdecimal() else found[0]


def _text(text: str, flag: str) -> str:
    """As it is; the reader says which words it knows."""
    return text


# By the name of the option in Python.
_OPTIONS: dict[str, tuple[Any, Callable[[str, str], Any]]] = {
    "lattice": (_option("--lattice", "A,B,C[,α,β,γ]", "Lattice in Å and degrees."), _lattice),
    "Ei": (_option("--Ei", "MEV", "Incident energy."), number),
    "q_direction": (_option("--q-direction", "H,K,L", "Along which an axis of Q runs, or powder."), _direction),
    "q_origin": (_option("--q-origin", "H,K,L", "Where the axes of Q are 0."), _vector),
    "q_step": (_option("--q-step", "1/Å", "Width of the bins in |Q| of a powder."), number),
    "energy": (_option("--energy", "MEV", "Energy transfer of data without such an axis."), number),
    "cut": (_option("--cut", '"H=LO:HI; E=LO:HI"', "The part of a histogram that is read, by its axes."), _cut),
    "u": (_option("--u", "H,K,L", "Along the beam at psi = 0."), _vector),
    "v": (_option("--v", "H,K,L", "Another direction of the horizontal plane."), _vector),
    "psi": (_option("--psi", "DEGREES", "Angle of u from the beam."), number),
    "errors": (
        _meant("--errors", "sigma|variance", "What is stored beside the intensities: --errors variance."),
        _text,
    ),
    "sigma": (_meant("--sigma", "NUMBER", "σ of every pixel of data without errors: --sigma 0.1."), number),
    "zeros": (_meant("--zeros", "missing|measured", "What 0, or 0 ± 0, is: --zeros missing."), _text),
    "bins": (
        _meant("--bins", "averaged|points", "Whether pixels are averaged over their bins: --bins points."),
        _text,
    ),
    "signal": (
        _meant("--signal", "density|integral", "Per meV, or over each bin of energy: --signal integral."),
        _text,
    ),
    "kf_over_ki": (
        _meant("--kf-over-ki", "divided|contained", "That factor of the intensities: --kf-over-ki contained."),
        _text,
    ),
    "q_convention": (
        _meant("--q-convention", "inelastic|crystallography", "Q = ki − kf or kf − ki: --q-convention inelastic."),
        _text,
    ),
    "directions": (
        _meant("--directions", "labels|columns|rows", "Of axes; columns, rows: of W_MATRIX: --directions labels."),
        _text,
    ),
    "columns": (_meant("--columns", "NAMES", "Order of columns of text: --columns E,x,I,sigma."), _text),
    "energy_unit": (_meant("--energy-unit", "UNIT", "Of a text's energies: --energy-unit THz."), _text),
}
_More = Annotated[
    list[str],
    typer.Option("--hint", metavar="NAME=VALUE", help="Any other option of a reader.", rich_help_panel=_PANEL),
]


def hinted(command: Callable[..., None]) -> Callable[..., None]:
    """A command with these options besides its own; it gets what was given as the argument `hints`."""
    own = inspect.signature(command)
    kinds = get_type_hints(command, include_extras=True)
    kept = [p.replace(annotation=kinds[p.name]) for p in own.parameters.values() if p.name != "hints"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, (kind, _) in _OPTIONS.items()
    ]
    added.append(inspect.Parameter("hint", inspect.Parameter.KEYWORD_ONLY, default=[], annotation=_More))

    @functools.wraps(command)
    def with_hints(**given: Any) -> None:
        more = pairs(given.pop("hint"), "--hint")
        hints = {name: _anything(text, f"--hint {name}") for name, text in more.items()}
        for name, (_, understand) in _OPTIONS.items():
            if (text := given.pop(name)) is not None:
                hints[name] = understand(text, f"--{name.replace('_', '-')}")
        command(**given, hints=hints)

    with_hints.__signature__ = own.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
    with_hints.__annotations__ = {p.name: p.annotation for p in (*kept, *added)}
    return with_hints
