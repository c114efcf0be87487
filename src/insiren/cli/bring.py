"""Commands on models: models, simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from insiren.cli.session import (
    ForwardName,
    Json,
    Seed,
    Timer,
    UsageError,
    check_file,
    facts,
    load_forward,
    number,
    numbers,
    read_all,
    say,
    write_json,
)

if TYPE_CHECKING:
    from insiren.forward import Forward
    from insiren.model.spec import Model


_MOST_ENERGIES = 1_000_000  # of a simulation along a path


def models(
    name: Annotated[
        str | None, typer.Argument(help="A bundled model or a TOML file, to see its parameters, sites and bonds.")
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a commented model file to start from.")] = False,
    minimise: Annotated[
        bool, typer.Option("--minimise", help="Find the magnetic structure of NAME that has the lowest energy.")
    ] = False,
    set_: Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help="With --minimise: a parameter.")] = [],  # noqa: B006
    free_k: Annotated[bool, typer.Option("--free-k", help="With --minimise: seek k as well, for a single k.")] = False,
    starts: Annotated[
        int | None, typer.Option("--starts", min=1, help="With --minimise: random structures to begin from.")
    ] = None,
    seed: Seed = 0,
    out: Json = None,
) -> None:
    """Bundled models, their parameters and boxes; of one model its sites, bonds, or best magnetic structure.

    Example: `insiren models la2nio4`, `insiren models --example > mine.toml`, or `insiren models mine.toml --minimise`
    """
    if minimise:
        if name is None:
            raise UsageError("--minimise needs the model: `insiren models NAME --minimise`.")
        from insiren.cli.ground import print_ground

        print_ground(name, numbers(set_, "--set"), starts, seed, free_k, out)
        return
    if set_ or free_k or starts:
        raise UsageError("--set, --free-k and --starts belong to --minimise.")
    from insiren.forward import complete
    from insiren.model.order import other_order, spins
    from insiren.model.spec import bundled, bundled_text, load_model
    from insiren.surrogate.store import bundled_surrogates

    if example:
        if name not in (None, *bundled()):
            raise UsageError(f"--example: no bundled model is called {name!r}. There are {', '.join(bundled())}.")
        print(bundled_text(name or "la2nio4"), end="")
        return
    chosen = [name] if name else bundled()
    content = []
    for one in chosen:
        model = load_model(one)
        content.append({
            "name": model.name, "summary": model.summary, "source": model.source,
            "parameters": [vars(p) for p in model.all_parameters],
            "surrogates": [s for s in bundled_surrogates() if s.removesuffix(".insiren") == model.name],
            **(_inside(model) if name else {}),
            "spins": spins(model) if name else [],
            "order": other_order(model, complete(model.all_parameters, {})) if name else "",
        })  # fmt: skip
    write_json({"models": content}, out)
    if str(out) == "-":
        return
    for entry in content:
        print(f"{entry['name']:<16} {entry['summary']}")
        if name:
            print(f"{'':<16} {entry['source']}")
            for p in entry["parameters"]:
                free = "  free" if p["free"] else ""
                print(f"  {p['name']:<10} {p['value']:>10.5g}  {p['min']:g} … {p['max']:g} {p['unit']}{free}")
            _print_inventory(entry)
            _print_spins(entry)
        for surrogate in entry["surrogates"]:
            print(f"{'':<16} surrogate: {surrogate}")


def _inside(model: Model) -> dict[str, Any]:
    """Sites, bonds and remarks of one model."""
    from insiren.model.crystal import inventory
    from insiren.simulate.remarks import all_remarks

    return inventory(model) | {"remarks": list(all_remarks(model))}


def _print_inventory(entry: dict[str, Any]) -> None:
    """Sites and bonds, one line each; in brackets what the symmetry of a bond allows; then the remarks."""
    for site in entry["sites"]:
        place = ", ".join(f"{x:.6g}" for x in site["position"])
        print(f"  site {site['site']:<5} {site['label']:<4} ({place})  S = {site['spin']:g}")
    for bond in entry["bonds"]:
        offset = ", ".join(map(str, bond["offset"]))
        plural = "" if bond["count"] == 1 else "s"
        line = f"  bond {bond['bond']:<5} {bond['i']} → {bond['j']} ({offset})  {bond['count']} bond{plural}"
        allowed = f"  {bond['allowed']}; {bond['dm']}" if bond["allowed"] else ""
        print(f"{line} of {bond['length']:.4g} Å{allowed}")
    for remark in entry["remarks"]:
        print(f"note: {remark}")


def _print_spins(entry: dict[str, Any]) -> None:
    """The spins of a supercell, one line each, in the order in which directions are listed."""
    for spin in entry["spins"]:
        cell = ", ".join(map(str, spin["cell"]))
        n = ", ".join(f"{x + 0:.4g}" for x in spin["direction"] or ())
        toward = f"  along ({n})" if n else ""
        print(f"  spin {spin['spin']:<5} site {spin['site']} in crystal cell ({cell}){toward}")
    if entry["order"]:
        print(f"  {entry['order']}")


def simulate(
    forward: ForwardName,
    out: Annotated[Path, typer.Option("--out", help="Where to write: .csv, .h5 or .nxs.")],
    set_: Annotated[
        list[str], typer.Option("--set", metavar="NAME=VALUE", help="A parameter; the others take the model's values.")
    ] = [],  # noqa: B006
    like: Annotated[list[Path], typer.Option("--like", help="Measured data: the same pixels are simulated.")] = [],  # noqa: B006
    path: Annotated[
        str | None,
        typer.Option("--path", help='A route: "P M X" of the model\'s points, a named route, or "0,0,0 0.5,0,0".'),
    ] = None,
    omega: Annotated[str | None, typer.Option("--omega", help="With --path: LO:HI:STEP in meV.")] = None,
    refine: Annotated[
        int, typer.Option("--refine", min=1, help="Factor on the quadrature nodes of the Q broadening.")
    ] = 1,
    counts: Annotated[
        int | None,
        typer.Option("--counts", min=1, help="Draw about this many neutrons a data set, with Poisson noise."),
    ] = None,
    background: Annotated[
        float, typer.Option("--background", min=0, help="With --counts: a flat background, in units of S.")
    ] = 0.0,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Also a picture, .png or .svg, of the first data set.")
    ] = None,
    seed: Seed = 0,
    json_: Json = None,
) -> None:
    """The spectrum of a model, on measured pixels or along a path.

    Example: `insiren simulate la2nio4 --set J=30 --path "P M X P G X" --out spectrum.csv --plot spectrum.png`
    """
    from insiren.data.counts import count
    from insiren.data.files import write, write_csv
    from insiren.data.simulated import simulate as simulated

    for file in (out, plot, json_):
        check_file(file)
    if plot is not None and plot.suffix not in (".png", ".svg"):
        raise UsageError(f"--plot {plot}: a picture ends in .png or .svg.")
    source = load_forward(forward, refine)
    values = numbers(set_, "--set")
    if bool(like) == (path is not None):
        raise UsageError("Say where to simulate: --like DATA or --path ROUTE, one of them.")
    _say_remarks(source, values)
    with Timer() as timer:
        timer("read", 0.0)
        places = read_all(like) if like else [_route_points(source, path or "", omega)]
        timer("simulate", 0.0)
        spectra = []
        for n, place in enumerate(places):
            spectra.append(simulated(source, values, place))
            timer("simulate", (n + 1) / len(places))
        if counts is not None:
            spectra = [count(one, counts, seed + n, background) for n, one in enumerate(spectra)]
        timer("write", 0.0)
        # Any suffix but those of the other formats is a table.
        (write if out.suffix.lower() in (".h5", ".hdf5", ".nxs") else write_csv)(spectra, out)
        if plot is not None:
            from insiren.report import spectrum_figure

            spectrum_figure(spectra[0], plot, f"{source.describe()['model']}")
    write_json(
        {"out": str(out), "data": [{"name": s.name, "shape": list(s.shape)} for s in spectra], **facts(timer.seconds)},
        json_,
    )
    if str(json_) != "-":
        print(f"{out}: " + ", ".join(f"{s.name} ({' × '.join(map(str, s.shape))})" for s in spectra))


def _say_remarks(source: Forward, values: dict[str, float]) -> None:
    """What there is to know of the model, on standard error."""
    from insiren.instrument.exact import Exact
    from insiren.simulate.remarks import all_remarks

    simulator = source.exact or source
    for remark in all_remarks(simulator.model, values) if isinstance(simulator, Exact) else ():
        say(f"note: {remark}")


def _route_points(source: Forward, path: str, omega: str | None):
    import numpy as np

    from insiren.forward import Points
    from insiren.instrument.exact import Exact
    from insiren.instrument.resolution import energy_resolution
    from insiren.model.crystal import route

    simulator = source.exact or source
    if not isinstance(simulator, Exact):
        raise UsageError("Without a model there are no named points; simulate --like data instead.")
    model = simulator.model
    hkl, _ = route(model, path)
    limit = energy_resolution(model).Ei
    if omega is None and limit is None:
        raise UsageError("The model names no Ei; give the energies as --omega LO:HI:STEP.")
    words = (omega or f"0:{limit}:{(limit or 1) / 200}").split(":")
    if len(words) != 3:
        raise UsageError(f"--omega {omega!r}: write it as LO:HI:STEP.")
    low, high, step = (number(word, "--omega") for word in words)
    if not (step > 0 and high > low):
        raise UsageError(f"--omega {omega!r}: HI must lie above LO and STEP above 0.")
    if (high - low) / step > _MOST_ENERGIES:
        raise UsageError(f"--omega {omega!r}: {(high - low) / step:,.0f} energies are too many. Take a larger STEP.")
    return Points.table(hkl, np.arange(low, high + step / 2, step))
