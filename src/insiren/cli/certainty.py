"""Options of the commands about how certain an answer is, and their results for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from insiren.cli.session import Timer, rounded, say
from insiren.errors import InsirenError

if TYPE_CHECKING:
    import scipp as sc

    from insiren.fit.result import Fit

Systematics = Annotated[
    bool,
    typer.Option("--systematics", help="Refit with every choice made otherwise, and quote a systematic error."),
]
Posterior = Annotated[
    bool, typer.Option("--posterior", help="Sample the posterior: weighted samples, or NUTS on a surrogate.")
]
Minimise = Annotated[
    bool, typer.Option("--minimise", help="The other free parameters at their best at every point, not held.")
]


def ascertain(
    result: Fit, data: list[sc.DataArray], timer: Timer, systematic: bool, sampled: bool, seed: int
) -> tuple[Fit, list[str]]:
    """The fit with what was asked for besides its covariance, and what of that could not be had and why."""
    refused = []
    with timer:
        if systematic:
            from insiren.fit.systematics import systematics

            try:
                result = systematics(result, data, timer)
            except InsirenError as error:
                refused.append(f"--systematics: {error}")
        if sampled:
            from insiren.fit.posterior import posterior

            try:
                result = posterior(result, seed=seed, progress=timer)
            except InsirenError as error:
                refused.append(f"--posterior: {error}")
    return result, refused


def result_of(entry: dict[str, Any]) -> str:
    """The value of a parameter with its error, or that the data do not determine it."""
    value = rounded(entry["value"], entry["error"])
    return value if entry.get("determined", True) else f"not determined (best {value})"


def print_certainty(content: dict[str, Any]) -> None:
    """The table of shifts and the quantiles of the posterior, as lines."""
    units = {name: entry["unit"] for name, entry in content["parameters"].items()}
    if table := content.get("systematics"):
        names = content["free"]
        widest = max(len(row["what"]) for row in table["rows"]) if table["rows"] else 0
        print(f"{'shift of':<{widest}}  {'  '.join(f'{name:>18}' for name in names)}")
        for row in table["rows"]:
            cells = [_shift(row["shift"][name], row["sigmas"][name]) for name in names]
            print(f"{row['what']:<{widest}}  {'  '.join(f'{cell:>18}' for cell in cells)}")
        for name in names:
            entry = content["parameters"][name]
            if not entry["determined"]:
                print(f"{name}: not determined")
                continue
            error = "none" if entry["error"] is None else f"{entry['error']:.2g}"
            print(f"{name}: ± {error} (statistical) ± {table['total'][name]:.2g} (systematic) {units[name]}")
        for line in table["skipped"]:
            say(f"note: {line}")
    if drawn := content.get("posterior"):
        for name, at in drawn["quantiles"].items():
            low, middle, high = (rounded(at[q], drawn["sd"][name]).split(" ±")[0] for q in ("0.16", "0.5", "0.84"))
            print(f"{name}: {middle} ({low} … {high}, 68 % of the posterior) {units[name]}")
        for line in drawn["doubts"]:
            say(f"note: {line}")


def _shift(shift: float, sigmas: float | None) -> str:
    return f"{shift:+.3g}" if sigmas is None else f"{shift:+.3g} ({sigmas:+.1f} σ)"
