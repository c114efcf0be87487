"""The command that trains: train."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from insiren.cli.session import Json, Seed, Timer, UsageError, check_file, facts, pairs, say, span_of, write_json

_BETWEEN = 10.0  # seconds between checkpoints: little work is lost, little time spent


class Wishes(NamedTuple):
    """The options of a training as the command line gives them."""

    model: str
    preset: str
    fraction: float | None
    steps: int | None
    omega: str | None
    region: list[str]
    ignore: str
    seed: int


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
        typer.Option("--region", metavar="h=LO:HI", help="Range of an axis along which the spectrum does not repeat."),
    ] = [],  # noqa: B006
    ignore: Annotated[
        str, typer.Option("--ignore", metavar="AXES", help="With spectra: axes, as kl, on which they do not depend.")
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from OUT.checkpoint, which an interrupted training leaves.")
    ] = False,
    seed: Seed = 0,
    json_: Json = None,
) -> None:
    """Train a surrogate of a model over the box of its free parameters, or of spectra computed before.

    Example: `insiren train la2nio4 --out la2nio4.insiren --minutes 5`
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
        training = _training(Wishes(model, preset, fraction, steps, omega, region, ignore, seed))
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

        if wishes.steps is not None or wishes.omega is not None or wishes.region:
            raise UsageError("--preset paper fixes steps, energies and wavevectors; --fraction makes it shorter.")
        return Paper(simulator, 1.0 if wishes.fraction is None else wishes.fraction, wishes.seed)
    from insiren.surrogate.training import Learner, Recipe

    span = None if wishes.omega is None else span_of(wishes.omega, "--omega")
    ranges = {name: span_of(text, f"--region {name}") for name, text in pairs(wishes.region, "--region").items()}
    recipe = Recipe(seed=wishes.seed) if wishes.steps is None else Recipe(steps=wishes.steps, seed=wishes.seed)
    return Learner.of(simulator, recipe, span, ranges)


def _from_spectra(wishes: Wishes) -> Any:
    from insiren.surrogate.samplefile import read_samples
    from insiren.surrogate.taught import Taught
    from insiren.surrogate.training import Recipe

    if wishes.preset == "paper" or wishes.omega is not None or wishes.region:
        raise UsageError("Spectra computed before bring their own ranges: leave out --preset, --omega and --region.")
    if set(wishes.ignore) - set("hkl"):
        raise UsageError(f"--ignore {wishes.ignore!r}: name axes among h, k and l, as in kl.")
    recipe = Recipe(seed=wishes.seed) if wishes.steps is None else Recipe(steps=wishes.steps, seed=wishes.seed)
    return Taught.of(read_samples(wishes.model), recipe, wishes.ignore)
