"""Commands on data: inspect, fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from insiren.cli.hints import hinted
from insiren.cli.picture import picture
from insiren.cli.session import DataNames, Json, Mask, Timer, UsageError, check_file, read_all, write_json


@hinted
def inspect(
    data: DataNames,
    mask: Mask = [],  # noqa: B006
    plot: Annotated[Path | None, typer.Option("--plot", help="Also a figure of the data sets, .png or .svg.")] = None,
    out: Json = None,
    hints: dict[str, Any] = {},  # noqa: B006
) -> None:
    """What files hold, and every assumption made in reading them, each with the option that overrides it.

    Example: `insiren inspect la2nio4-data/`
    """
    from insiren.data.summary import summary

    for file in (plot, out):
        check_file(file)
    if plot is not None and plot.suffix not in (".png", ".svg"):
        raise UsageError(f"--plot {plot}: a picture ends in .png or .svg.")
    sets = read_all(data, hints, masks=mask)
    content = [summary(one) for one in sets]
    if plot is not None:
        from insiren.report import spectra_figure

        spectra_figure(sets, plot)
    write_json({"data": content}, out)
    if str(out) == "-":
        return
    for one, entry in zip(sets, content, strict=True):
        print(f"{entry['name']}: {entry['kind']} {' × '.join(map(str, entry['shape']))}")
        for line in picture(one):
            print(f"  {line}")
        for line in _lines(entry):
            print(f"  {line}")
    if plot is not None:
        print(f"figure: {plot}")


def _lines(entry: dict[str, Any]) -> list[str]:
    """The numbers of a summary, then what deserves a look, then what was found and what was assumed."""
    said = ("name", "kind", "shape", "noted", "assumed", "look")
    lines = []
    for key, value in entry.items():
        if key in said or value in (None, {}):
            continue
        if key == "dims":
            shown = ", ".join(value)
        elif isinstance(value, dict):
            shown = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in value.items())
        else:
            numbers = value if isinstance(value, list) else [value] if isinstance(value, float) else []
            shown = " … ".join(f"{x:g}" for x in numbers) or str(value)
        if key == "advised":
            shown += " (--sigma-floor, --sigma-max change it)"
        lines.append(f"{key:<12} {shown}")
    return [*lines, *(f"{key:<12} {line}" for key in ("look", "noted", "assumed") for line in entry[key])]


def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A published measurement; none lists them.")
    ] = None,
    out: Json = None,
) -> None:
    """A published measurement into the cache, checked by hash; afterwards its name stands for the data.

    Example: `insiren fetch la2nio4`, then `insiren fit la2nio4 la2nio4 --out result`
    """
    from insiren.data.fetch import PUBLISHED, fetched
    from insiren.data.fetch import fetch as get

    check_file(out)
    if name is None:
        entries = [{"name": n, **_told(PUBLISHED[n]), "fetched": fetched(n) is not None} for n in PUBLISHED]
        write_json({"published": entries}, out)
        if str(out) != "-":
            for entry in entries:
                print(f"{entry['name']:<16} {entry['summary']}{' (fetched)' if entry['fetched'] else ''}")
                print(f"{'':<16} {entry['source']}; {entry['licence']}")
        return
    with Timer() as timer:
        timer("fetch", 0.0)
        folder = get(name, progress=lambda share: timer("fetch", share))
    write_json({"name": name, "folder": str(folder), **_told(PUBLISHED[name])}, out)
    if str(out) != "-":
        print(f"{name}: {folder}")
        print(f"{PUBLISHED[name].source}; {PUBLISHED[name].licence}")


def _told(entry: Any) -> dict[str, str]:
    return {"summary": entry.summary, "source": entry.source, "licence": entry.licence}
