"""The command that trains: train."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from insiren.cli.session import (
    Json,
    Seed,
    Timer,
    UsageError,
    check_file,
    facts,
    number,
    numbers,
    pairs,
    say,
    span_of,
    write_json,
)

_BETWEEN = 10.0  # seconds between checkpoints: little work is lost, little time spent


class Wishes(NamedTuple):
    """The options of a training as the command line gives them."""

    model: str
    preset: str
    fraction: float | None
    steps: int | None
    omega: str | None
    region: list[str]
    path: list[str]
    plane: str | None
    around: float | None
    free: list[str]
    fix: list[str]
    bound: list[str]
    ignore: str
    guide: int
    width: int | None
    seed: int

    @property
    def narrowed(self) -> bool:
        """Whether energies, wavevectors, parameters or the guide are to be others than by default."""
        given = (
            self.guide or None,
            self.omega,
            self.region,
            self.path,
            self.plane,
            self.around,
            self.free,
            self.fix,
            self.bound,
        )
        return any(x not in (None, []) for x in given)


def train(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A bundled model, a TOML file, or spectra computed before: .npz, .h5 or .safetensors."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The surrogate file to write, NAME.insiren.")],
    preset: Annotated[
        str, typer.Option("--preset", help="default, or paper: 1,200 images of two paths, 50 epochs, as published.")
    ] = "default",
    fraction: Annotated[
        float | None,
        typer.Option("--fraction", min=0.001, max=1, help="With --preset paper: the part of the images to use."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0.05, help="Train for so long; by default a fixed number of steps."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps of the optimiser.")] = None,
    target: Annotated[
        float | None, typer.Option("--target", min=0, help="Stop at this held-out error, the rms of log(1 + cS).")
    ] = None,
    omega: Annotated[
        str | None, typer.Option("--omega", help="Range of the energy transfer LO:HI in meV; by default 0 to Ei.")
    ] = None,
    region: Annotated[
        list[str],
        typer.Option("--region", metavar="h=LO:HI", help="A volume: the range of an axis; by default the whole zone."),
    ] = [],  # noqa: B006
    path: Annotated[
        list[str],
        typer.Option(
            "--path", help='A tube around a path: a route of the model, or points as "P M 1,0,0". May repeat.'
        ),
    ] = [],  # noqa: B006
    plane: Annotated[
        str | None,
        typer.Option("--plane", metavar='"U V [O]"', help='A slab around O ± U ± V: directions, as "1,1,0 0,0,1".'),
    ] = None,
    around: Annotated[
        float | None, typer.Option("--around", help="How far around --path or --plane, in r.l.u.; by default 0.02.")
    ] = None,
    free: Annotated[
        list[str], typer.Option("--free", metavar="NAME", help="Learn along this parameter too: width, a field, …")
    ] = [],  # noqa: B006
    fix: Annotated[list[str], typer.Option("--fix", metavar="NAME=VALUE", help="Hold a parameter at a value.")] = [],  # noqa: B006
    bound: Annotated[
        list[str], typer.Option("--bound", metavar="NAME=LO:HI", help="The range of a parameter that is learnt.")
    ] = [],  # noqa: B006
    ignore: Annotated[
        str, typer.Option("--ignore", metavar="AXES", help="With spectra: axes, as kl, on which they do not depend.")
    ] = "",
    guide: Annotated[
        int,
        typer.Option(
            "--guide", min=0, max=12, help="Nodes of a coarse average over q_fwhm for the network to correct."
        ),
    ] = 0,
    width: Annotated[
        int | None,
        typer.Option(
            "--width", min=1, max=4096, help="Units of a sine layer: fewer are quicker to ask, more learn more."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from OUT.checkpoint, which an interrupted training leaves.")
    ] = False,
    seed: Seed = 0,
    json_: Json = None,
) -> None:
    """Train a surrogate of a model over the box of its free parameters, or of spectra computed before.

    Example: `insiren train la2nio4 --out la2nio4.insiren --minutes 5`

    Around paths: `insiren train la2nio4 --path path1 --path path2 --around 0.005 --guide 4 --out paths.insiren`

    In a plane: `insiren train luvo3 --plane "0,1,0 0,0,1" --free width --out plane.insiren`

    In a volume: `insiren train la2nio4-gap --region h=0:1 --region k=0:1 --fix q_fwhm=0 --out volume.insiren`
    """
    from insiren.surrogate.checkpoint import load_checkpoint
    from insiren.surrogate.loop import Budget, learn
    from insiren.surrogate.store import save_surrogate

    if out.suffix != ".insiren":
        raise UsageError(f"--out {out}: a surrogate file ends in .insiren.")
    if minutes is not None and steps is not None:
        raise UsageError("Give --minutes or --steps, not both.")
    for file in (out, json_):
        check_file(file)
    keeper = Keeper(out.with_name(out.name + ".checkpoint"))
    if resume and not keeper.path.is_file():
        raise UsageError(f"There is no {keeper.path} to go on from; train without --resume.")
    with Timer() as timer:
        timer("prepare", 0.0)
        training = _training(
            Wishes(
                model,
                preset,
                fraction,
                steps,
                omega,
                region,
                path,
                plane,
                around,
                free,
                fix,
                bound,
                ignore,
                guide,
                width,
                seed,
            )
        )
        state = None
        if resume:
            state, keeper.spent = load_checkpoint(keeper.path, training)
        keeper.begin(training, state)

        def tell(step: int, total: int, error: float) -> None:
            aim = "" if target is None else f" (target {target:g})"
            timer("train", min(1.0, step / total), f"step {step:,}, held-out rms of log(1 + cS) {error:.4f}{aim}")

        budget = Budget(None if minutes is None else 60 * minutes, target, keeper.spent)
        try:
            surrogate = learn(training, tell, state, keeper, budget)
        except KeyboardInterrupt:
            say(keeper.farewell())
            raise
    save_surrogate(surrogate, out)
    keeper.path.unlink(missing_ok=True)
    _deliver(json.loads(surrogate.provenance), out, timer, json_, keeper.spent, target)


def _deliver(
    made: dict[str, Any], out: Path, timer: Timer, json_: Path | None, spent: float, target: float | None
) -> None:
    held, seconds = made["held_out"], sum(timer.seconds.values()) + spent
    write_json({"out": str(out), **made, **facts(timer.seconds), "seconds_before": round(spent, 3)}, json_)
    if target is not None and held["rms_log"] > target:
        say(f"note: the held-out error is {held['rms_log']:.4f}, above the target {target:g}; train for longer.")
    if str(json_) != "-":
        size = out.stat().st_size / 1000
        print(f"{out}: {size:.0f} kB, {made['recipe']['steps_done']:,} steps in {seconds:.0f} s")
        if names := made.get("applied"):
            print(f"applied exactly, not learnt: {', '.join(names)}")
        print(f"held out: r median {held['r_median']:.5f}, minimum {held['r_min']:.5f}, rms {held['rms_log']:.4f}")


class Keeper:
    """Writes a checkpoint now and then, and the last state when the training is interrupted."""

    def __init__(self, path: Path):
        self.path, self.spent = path, 0.0
        self.training: Any = None
        self.state: Any = None

    def begin(self, training: Any, state: Any) -> None:
        self.training, self.state = training, state
        self.since = self.last = time.perf_counter()

    def __call__(self, state: Any) -> None:
        self.state = state
        if time.perf_counter() - self.last > _BETWEEN:
            self.write()

    def write(self) -> None:
        from insiren.surrogate.checkpoint import save_checkpoint

        seconds = self.spent + time.perf_counter() - self.since
        save_checkpoint(self.state, self.training, self.path, seconds)
        self.last = time.perf_counter()

    def farewell(self) -> str:
        """Keeps the last state; says how to go on."""
        if self.state is None:
            return "insiren: stopped before the first steps; nothing is kept."
        self.write()
        again = [word for word in sys.argv[1:] if word != "--resume"]
        return f"insiren: stopped at step {int(self.state.step):,}; go on with: insiren {shlex.join(again)} --resume"


def _training(wishes: Wishes) -> Any:
    """What the loop trains."""
    from insiren.surrogate.samplefile import SUFFIXES

    if wishes.preset not in ("default", "paper"):
        raise UsageError(f"--preset {wishes.preset!r}: there are default and paper.")
    if wishes.fraction is not None and wishes.preset != "paper":
        raise UsageError("--fraction is of the images of --preset paper.")
    if wishes.model.endswith(SUFFIXES):
        return _from_spectra(wishes)
    if wishes.ignore:
        raise UsageError("--ignore is for spectra computed before; the symmetry of a model is found.")
    from insiren.instrument.exact import exact
    from insiren.model.spec import load_model

    simulator = exact(load_model(wishes.model))
    if wishes.preset == "paper":
        from insiren.surrogate.paper import Paper

        if wishes.steps is not None or wishes.width is not None or wishes.narrowed:
            raise UsageError(
                "--preset paper fixes steps, width, energies, wavevectors and parameters; --fraction makes it shorter."
            )
        return Paper(simulator, 1.0 if wishes.fraction is None else wishes.fraction, wishes.seed)
    from insiren.surrogate.inputs import chosen_inputs
    from insiren.surrogate.training import Learner

    span = None if wishes.omega is None else span_of(wishes.omega, "--omega")
    bounds = {name: span_of(text, f"--bound {name}") for name, text in pairs(wishes.bound, "--bound").items()}
    inputs = chosen_inputs(simulator.parameters, wishes.free, numbers(wishes.fix, "--fix"), bounds)
    return Learner.of(simulator, _recipe(wishes), span, _region(wishes, simulator.model), inputs)


def _recipe(wishes: Wishes) -> Any:
    from insiren.surrogate.training import Recipe

    given = {"steps": wishes.steps, "width": wishes.width}
    given = {name: x for name, x in given.items() if x is not None}
    return dataclasses.replace(Recipe(seed=wishes.seed, guide=wishes.guide), **given)


def _region(wishes: Wishes, model: Any) -> Any:
    """The wavevectors to learn: a Region, or ranges of axes."""
    from insiren.surrogate.region import AROUND, Region

    if sum(x not in (None, []) for x in (wishes.region, wishes.path, wishes.plane)) > 1:
        raise UsageError("Give one of --region, --path and --plane.")
    if not wishes.path and wishes.plane is None and wishes.around is not None:
        raise UsageError("--around is the distance around --path or --plane.")
    around = AROUND if wishes.around is None else wishes.around
    if wishes.path:
        return Region.path(model, wishes.path, around)
    if wishes.plane is not None:
        words = wishes.plane.split()
        vectors = [[number(x, f"--plane {word}") for x in word.split(",")] for word in words]
        if len(vectors) not in (2, 3) or any(len(v) != 3 for v in vectors):
            raise UsageError(
                f'--plane {wishes.plane!r}: two directions and perhaps an origin, as "1,1,0 0,0,1 0,0,0.5".'
            )
        return Region.plane(*vectors, around=around)
    return {name: span_of(text, f"--region {name}") for name, text in pairs(wishes.region, "--region").items()}


def _from_spectra(wishes: Wishes) -> Any:
    from insiren.surrogate.samplefile import read_samples
    from insiren.surrogate.taught import Taught

    if wishes.preset == "paper" or wishes.narrowed:
        raise UsageError(
            "Spectra computed before bring their own ranges: leave out --preset, and options of energies, wavevectors "
            "and parameters."
        )
    if set(wishes.ignore) - set("hkl"):
        raise UsageError(f"--ignore {wishes.ignore!r}: name axes among h, k and l, as in kl.")
    return Taught.of(read_samples(wishes.model), _recipe(wishes), wishes.ignore)
