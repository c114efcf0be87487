"""Commands that answer: fit, landscape."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from insiren.cli.certainty import Minimise, Posterior, Systematics, ascertain, print_certainty, result_of
from insiren.cli.hints import hinted
from insiren.cli.session import (
    DataNames,
    ForwardName,
    Json,
    Mask,
    Seed,
    Timer,
    UsageError,
    assumptions,
    check_file,
    check_folder,
    doubts,
    facts,
    found_data,
    load_forward,
    mask_texts,
    numbers,
    pairs,
    read_all,
    say,
    span_of,
    whole_folder,
    write_json,
)
from insiren.errors import InsirenError

Preset = Annotated[str | None, typer.Option("--preset", help="paper: its Pearson objective and Adam descents.")]
Objective = Annotated[
    str | None,
    typer.Option("--objective", help="gaussian, poisson (counts) or pearson; by default poisson where counts exist."),
]
Background = Annotated[
    str,
    typer.Option(
        "--background",
        help="auto (what the data ask for), per-energy, smooth, lowrank, constant, savgol[:FIRST:LAST] (quiet Q "
        "columns), template:FILE or none.",
    ),
]
Fix = Annotated[list[str], typer.Option("--fix", metavar="NAME=VALUE", help="Fix a parameter.")]
Free = Annotated[list[str], typer.Option("--free", metavar="NAME", help="Free a parameter.")]
Bound = Annotated[list[str], typer.Option("--bound", metavar="NAME=LO:HI", help="Bounds of a parameter.")]
Tie = Annotated[list[str], typer.Option("--tie", metavar="NAME=EXPRESSION", help="Let a parameter follow others.")]
Each = Annotated[
    list[str], typer.Option("--each", metavar="NAME", help="Give every data set its own: NAME[1], NAME[2], …")
]
Weights = Annotated[
    str,
    typer.Option(
        "--weights", help="auto (what the data ask for); data: their σ; model: σ that its intensity would have."
    ),
]
Robust = Annotated[bool, typer.Option("--robust", help="Let outliers count less: residuals follow Student's t.")]
Starts = Annotated[
    int, typer.Option("--starts", min=1, help="Raw starts whose descents are counted; Adam descents with the preset.")
]
SigmaFloor = Annotated[
    float | None, typer.Option("--sigma-floor", min=0, help="Raise smaller σ to it; by default as the reader advises.")
]
SigmaMax = Annotated[
    float | None,
    typer.Option("--sigma-max", min=0, help="Leave out pixels with larger σ; by default as the reader advises."),
]
Assignment = Annotated[
    str, typer.Option("--assignment", help="Of peaks to modes: nearest, or the strongest within the window.")
]
Baseline = Annotated[
    bool, typer.Option("--baseline", help="Beside it the usual way: peaks picked from the maps, and a particle swarm.")
]
Range = Annotated[
    list[str],
    typer.Option("--range", metavar="AXIS=LO:HI", help="Fit this part alone: E in meV; h, k, l in r.l.u.; Q_abs."),
]
Legs = Annotated[
    bool | None,
    typer.Option(
        "--legs/--no-legs",
        help="Each leg of a path has a scale and a background of its own; with --background auto the data decide.",
    ),
]
Tube = Annotated[
    float | None,
    typer.Option("--tube", min=0, metavar="1/Å", help="--legs, each averaged over this full width across it."),
]
Refine = Annotated[int, typer.Option("--refine", min=1, help="Factor on the quadrature nodes of the Q broadening.")]
Smear = Annotated[
    float | None, typer.Option("--smear", min=0, help="Smear images along the path, σ in pixels (the paper: 5).")
]


class Wishes(NamedTuple):
    """The options of a fit as the command line gives them."""

    preset: str | None
    objective: str | None
    background: str
    fix: list[str]
    free: list[str]
    bound: list[str]
    tie: list[str]
    each: list[str]
    weights: str
    robust: bool
    starts: int
    sigma_floor: float | None
    sigma_max: float | None
    refine: int
    range: list[str]
    mask: list[str]
    legs: bool | None
    tube: float | None
    smear: float | None
    assignment: str
    baseline: bool
    seed: int
    hints: dict[str, Any]


def _wished(given: dict[str, Any]) -> Wishes:
    """The options of a fit among the arguments of a command."""
    return Wishes(**{name: given[name] for name in Wishes._fields})


@hinted
def fit(
    forward: ForwardName,
    data: DataNames,
    out: Annotated[Path, typer.Option("--out", help="The folder to write: fit.json and report.html.")],
    preset: Preset = None,
    objective: Objective = None,
    background: Background = "auto",
    fix: Fix = [],  # noqa: B006
    free: Free = [],  # noqa: B006
    bound: Bound = [],  # noqa: B006
    tie: Tie = [],  # noqa: B006
    each: Each = [],  # noqa: B006
    weights: Weights = "auto",
    robust: Robust = False,
    starts: Starts = 10,
    sigma_floor: SigmaFloor = None,
    sigma_max: SigmaMax = None,
    refine: Refine = 1,
    range: Range = [],  # noqa: B006
    mask: Mask = [],  # noqa: B006
    legs: Legs = None,
    tube: Tube = None,
    smear: Smear = None,
    assignment: Assignment = "nearest",
    baseline: Baseline = False,
    systematics: Systematics = False,
    posterior: Posterior = False,
    seed: Seed = 0,
    json_: Json = None,
    hints: dict[str, Any] = {},  # noqa: B006
) -> None:
    """The parameters that describe the data best, with errors and a report.

    Example: `insiren fit la2nio4 la2nio4-data/ --out fit-la2nio4`
    """
    check_folder(out)
    check_file(json_, out)
    wishes = _wished(locals())
    result, timer, sets = _fit(forward, data, wishes)
    beside, lost = _baseline(forward, sets, wishes, timer) if baseline else ({}, [])
    result, refused = ascertain(result, sets, timer, systematics, posterior, seed)
    refused = [*lost, *refused]
    said = [*doubts(sets), *refused]
    if said and hasattr(result, "warnings"):  # an answer to peaks alone keeps none
        result = dataclasses.replace(result, warnings=(*result.warnings, *said))
    extra = {"assumed": assumptions(sets), "masks": mask_texts(mask), **beside}
    content = result.to_dict() | extra
    quiet = str(json_) == "-"
    if not quiet:  # before anything is written, which may fail
        print_fit(content)
        print_certainty(content)
    try:
        content |= deliver(result, timer, out, extra)
    except (OSError, InsirenError) as error:
        if quiet:
            write_json(content | facts(timer.seconds), json_)
        raise UsageError(_unwritten(out, error, quiet)) from None
    write_json(content, json_)
    if not quiet:
        print(f"report: {out / 'report.html'}")
    if refused:
        raise UsageError(f"The fit is written to {out}, but not all that was asked for besides. {refused[0]}")


def _fit(forward: str, data: list[Path], wishes: Wishes) -> tuple[Any, Timer, list[Any]]:
    """The answer, the times it took, and the data sets; the options as given."""
    with Timer() as timer:
        timer("read", 0.0)
        if wishes.baseline and wishes.each:
            raise UsageError("The baseline has one value of each parameter for all data sets; leave --each out.")
        sets = read_all(data, wishes.hints, wishes.range, wishes.mask)
        source, fixed, bounds = _source(forward, wishes)
        if wishes.tube is not None:
            sets = _in_legs(sets, wishes.tube, source)
        template = _template(wishes, source)
        from insiren.fit.optimise import fit as run

        result = run(
            source,
            sets,
            wishes.objective,  # type: ignore[arg-type]  # checked by the fit
            wishes.background,
            wishes.free,
            fixed,
            bounds,
            pairs(wishes.tie, "--tie"),
            wishes.starts,
            wishes.seed,
            wishes.preset,
            wishes.sigma_floor,
            wishes.sigma_max,
            timer,
            each=wishes.each,
            weights=wishes.weights,
            robust=wishes.robust,
            template=template,
            assignment=wishes.assignment,  # type: ignore[arg-type]
            legs=wishes.legs if wishes.tube is None else False,
        )
    return result, timer, sets


def _baseline(
    forward: str, sets: list[Any], wishes: Wishes, timer: Timer
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What stands beside the fit in its report, and why it could not be had."""
    from insiren.fit.swarm import baseline

    source, fixed, bounds = _source(forward, wishes)
    ties = pairs(wishes.tie, "--tie")
    with timer:
        try:
            found = baseline(source, sets, wishes.free, fixed, bounds, ties, seed=wishes.seed, progress=timer)
        except InsirenError as error:
            return {}, [f"--baseline: {error}"]
    return {"baseline": found.to_dict()}, []


def _source(forward: str, wishes: Wishes) -> tuple[Any, dict[str, float], dict[str, tuple[float, float]]]:
    """The Forward, the fixed values and the bounds that the options ask for."""
    source = load_forward(forward, wishes.refine)
    fixed = numbers(wishes.fix, "--fix")
    if wishes.smear:
        from insiren.instrument.smear import PathSmeared

        source = PathSmeared(source, wishes.smear)
    if wishes.preset == "paper" and "q_fwhm" not in {
        **fixed,
        **dict.fromkeys(wishes.free),
        **pairs(wishes.tie, "--tie"),
        **pairs(wishes.bound, "--bound"),
    }:
        # the paper has no Q broadening of this kind: none, or the least that a surrogate learnt
        lowest = [p.min for p in source.parameters if p.name == "q_fwhm" and source.exact is not None]
        fixed["q_fwhm"] = lowest[0] if lowest else 0.0
    bounds = {name: span_of(text, f"--bound {name}") for name, text in pairs(wishes.bound, "--bound").items()}
    return source, fixed, bounds


def _template(wishes: Wishes, source: Any) -> list[Any] | None:
    """The spectra of a background "template:FILE", read and cut as the data are."""
    from insiren.data.files import options_of
    from insiren.fit.treatment import TEMPLATE

    if not wishes.background.startswith(TEMPLATE):
        return None
    path = Path(wishes.background.removeprefix(TEMPLATE))
    takes = options_of(found_data(path)) if wishes.hints else ()
    hints = {name: value for name, value in wishes.hints.items() if name in takes}
    sets = read_all([path], hints, wishes.range)
    return _in_legs(sets, wishes.tube, source) if wishes.legs or wishes.tube is not None else sets


def _in_legs(sets: list[Any], tube: float | None, source: Any) -> list[Any]:
    """The legs of paths, averaged over a tube in 1/Å if one is given."""
    import numpy as np

    from insiren.data.legs import legs
    from insiren.instrument.exact import Exact
    from insiren.model.crystal import lattice

    if tube is None:
        return [leg for one in sets for leg in legs(one, None, np.eye(3))]  # what is straight is so in r.l.u. too
    if not isinstance(source, Exact):
        raise UsageError("--tube: only the exact simulator averages across a path; name a model, not a surrogate.")
    return [leg for one in sets for leg in legs(one, tube, lattice(source.model).reciprocal)]


def asked_of(forward: str, wishes: Wishes) -> Any:
    """The fit of a live run, of the options of a fit."""
    from insiren.fit.pose import Wanted
    from insiren.fit.treatment import Treatment
    from insiren.live.update import Asked

    source, fixed, bounds = _source(forward, wishes)
    kind: Any = wishes.objective  # checked by the fit
    wish = Treatment(
        kind, wishes.background, wishes.weights, wishes.robust, wishes.sigma_floor, wishes.sigma_max,
        _template(wishes, source),
    )  # fmt: skip
    wanted = Wanted(wishes.free, fixed, bounds, pairs(wishes.tie, "--tie"), wishes.each)
    return Asked(source, wish, wanted, wishes.starts, wishes.seed)


def deliver(result: Any, timer: Timer, out: Path, extra: dict[str, Any]) -> dict[str, Any]:
    """Writes fit.json and then report.html as one folder; what they hold besides the fit.

    Where the report cannot be written, fit.json stays.
    """
    from insiren.fit.landscape import around
    from insiren.report import report, save_fit

    failed = None
    with timer:
        timer("landscape", 0.0)
        landscape = around(result, progress=timer) if len(result.names) > 1 else None
        timer("report", 0.0)
        with whole_folder(out) as folder:
            save_fit(result, folder / "fit.json", facts(timer.seconds) | extra)
            try:
                report(result, folder / "report.html", landscape=landscape, facts=facts(timer.seconds) | extra)
                made = facts(timer.seconds) | extra
                save_fit(result, folder / "fit.json", made)
            except (OSError, InsirenError) as error:
                failed = error
    if failed is not None:
        raise failed
    return made


def _unwritten(out: Path, error: Exception, quiet: bool) -> str:
    """That an answer was had and could not be written, and what to do."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    kept = (
        f"{out / 'fit.json'} holds it, too, but there is no report"
        if (out / "fit.json").exists()
        else "it is nowhere else"
    )
    where = "JSON on standard output" if quiet else "answer above"
    return f"The {where} is whole; {kept}: {why} Make room, or name a folder on another disk by --out, and fit again."


def print_fit(content: dict[str, Any]) -> None:
    for name, entry in content["parameters"].items():
        note = " (fixed)" if entry["fixed"] and not entry["tie"] else f" (= {entry['tie']})" if entry["tie"] else ""
        note += " (at a bound)" if entry["at_bound"] else ""
        print(f"{name:<10} {result_of(entry)} {entry['unit']}{note}")
    pearson, starts = content["objective"] == "pearson", content["starts"]
    quality = f"1 − r {content['objective_value']:.4g}" if pearson else f"χ²/ν {content['chi2_reduced']:.4g}"
    listed = len(content.get("peaks", []))
    what = "peaks" if listed == content["n_data"] else f"pixels and peaks ({listed})" if listed else "pixels"
    signal = f"; signal {found['sigma']:.3g} σ" if (found := content.get("signal")) else ""
    print(f"{quality}, {content['n_data']:,} {what}{signal}; {starts['agree']} of {starts['n']} raw starts agree")
    for line in told_choices(content.get("choices", {})):
        print(line)
    if other := content.get("baseline"):
        found = ", ".join(f"{n} {e['value']:.4g}" for n, e in other["parameters"].items() if not e["fixed"])
        print(f"{other['method']}: {found}; R {other['R']:.3g} of {other['n_peaks']} peaks")
    for line in [*content["identifiability"], *content["warnings"]]:
        say(f"note: {line}")


def told_choices(choices: dict[str, Any]) -> list[str]:
    """What was chosen by itself, a sentence each, with the option that chooses otherwise."""
    said = []
    for what, option in (
        ("legs", "--no-legs"),
        ("weights", "--weights data"),
        ("background", "--background per-energy"),
    ):
        entry = choices.get(what, {"asked": True})
        if entry["asked"] or (what == "legs" and not entry["chosen"]):
            continue
        why = "; ".join(entry["why"].values()) if isinstance(entry["why"], dict) else entry["why"]
        chosen = "each leg of the path for itself" if what == "legs" else entry["chosen"]
        said.append(f"{what}: {chosen}, for {why} ({option} takes what was taken before)")
        said += [f"background {name} was not tried: {reason}" for name, reason in entry.get("skipped", {}).items()]
    return said


@hinted
def landscape(
    forward: ForwardName,
    data: DataNames,
    x: Annotated[str, typer.Option("--x", help="Parameter along x.")],
    y: Annotated[str, typer.Option("--y", help="Parameter along y.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write: landscape.json and landscape.svg.")],
    points: Annotated[int, typer.Option("--points", min=3, help="Along each axis.")] = 41,
    preset: Preset = None,
    objective: Objective = None,
    background: Background = "auto",
    fix: Fix = [],  # noqa: B006
    free: Free = [],  # noqa: B006
    bound: Bound = [],  # noqa: B006
    tie: Tie = [],  # noqa: B006
    each: Each = [],  # noqa: B006
    weights: Weights = "auto",
    robust: Robust = False,
    starts: Starts = 10,
    sigma_floor: SigmaFloor = None,
    sigma_max: SigmaMax = None,
    refine: Refine = 1,
    range: Range = [],  # noqa: B006
    mask: Mask = [],  # noqa: B006
    legs: Legs = None,
    tube: Tube = None,
    smear: Smear = None,
    assignment: Assignment = "nearest",
    minimise: Minimise = False,
    seed: Seed = 0,
    json_: Json = None,
    hints: dict[str, Any] = {},  # noqa: B006
) -> None:
    """The objective over two parameters, the others held at the fit or minimised.

    Example: `insiren landscape la2nio4 la2nio4-data/ --x J --y Jp --bound J=25:35 --bound Jp=-2:5 --out landscape`
    """
    check_folder(out)
    check_file(json_, out)
    wishes = _wished(locals() | {"baseline": False})
    result, timer, _ = _fit(forward, data, wishes)
    from insiren.fit.landscape import over_bounds
    from insiren.report import landscape_figure

    with timer:
        timer("landscape", 0.0)
        found = over_bounds(result, x, y, points, timer, minimise)
        with whole_folder(out) as folder:
            landscape_figure(found, result, folder / "landscape.svg")
            content = found.to_dict() | facts(timer.seconds) | {"masks": mask_texts(mask)}
            write_json(content, folder / "landscape.json")
    write_json(content, json_)
    if str(json_) != "-":
        print(f"landscape: {out / 'landscape.svg'}")
