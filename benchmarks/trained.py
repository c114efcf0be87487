"""Trainings as rows of the table: the default ones for so many minutes; the published protocol and weights; PyTorch.

INSIREN_BENCH_FRACTION is the part of the 1,200 published images that is trained on; 0.1 by default, about 90,000 steps.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from released import released
from surrogate_accuracy import on_paths, over_plane, stated

from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.surrogate.accuracy import Accuracy
from insiren.surrogate.loop import learn
from insiren.surrogate.paper import Paper
from insiren.surrogate.region import Region
from insiren.surrogate.siren import Siren, siren
from insiren.surrogate.store import bundled_surrogates, load_surrogate
from insiren.surrogate.surrogate import Surrogate
from insiren.surrogate.training import Recipe, train

PEERS = Path(__file__).parents[1] / ".bench-peers" / "bin" / "python"
_TUBE = 0.005  # r.l.u. around the paths
_BROADEST = {"q_fwhm": (0.01, 0.1)}  # r.l.u.; the measured paths have 0.08
INPUTS, WIDTH, LAYERS, BATCH, STEPS, RUNS = 6, 96, 4, 2048, 20, 5
Row = tuple[str, str, str, str]


def accuracy_row(
    name: str, surrogate: Surrogate, q_fwhm: float, cost: str = "", where: Callable[..., Accuracy] = on_paths
) -> Row:
    """A surrogate beside its simulator, for 200 random parameter sets at one q_fwhm (r.l.u.)."""
    found = where(surrogate, q_fwhm)
    r = f"r median {np.median(found.r):.5f}, least {np.min(found.r):.5f}"
    ridge, brightest = (
        f"{np.nanmedian(bias):+.3f} ± {np.nanmedian(spread):.3f} meV"
        for bias, spread in (
            (found.ridge_bias, found.ridge_spread),
            (found.brightest_bias, found.brightest_spread),
        )
    )
    return name, r, f"exact, q_fwhm {q_fwhm:g}, 200 sets{cost}", f"ridge {ridge}, brightest {brightest}"


def minutes_rows() -> Iterator[Callable[[], Row]]:
    """La2NiO4 on the two paths after one and five minutes, in the whole zone after five; five parameters of LuVO3."""
    simulator = exact(load_model("la2nio4"))
    paths = Region.path(simulator.model, ("path1", "path2"), _TUBE)
    for name, region, minutes in (("paths", paths, 1.0), ("paths", paths, 5.0), ("zone", None, 5.0)):
        made: list[Surrogate] = []

        def learnt(made=made, region=region, minutes=minutes) -> Surrogate:
            made[:] = made or [
                train(simulator, Recipe(guide=4), (0.0, 200.0), region, minutes=minutes, bounds=_BROADEST)
            ]
            return made[0]

        places = {"paths": on_paths} | ({"plane": over_plane} if region is None else {})
        for place, where in places.items():
            for q_fwhm in (0.085, 0.01):
                yield (
                    lambda learnt=learnt, name=name, minutes=minutes, q=q_fwhm, place=place, where=where: accuracy_row(
                        f"la2nio4, {name} learnt for {minutes:g} min, seen on the {place}", learnt(), q, "", where
                    )
                )
        yield lambda learnt=learnt, name=name, minutes=minutes: stated_row(f"{name}, {minutes:g} min", learnt())
    yield _five_parameters


def stated_row(name: str, surrogate: Surrogate) -> Row:
    """The map of errors beside true errors."""
    found = stated(surrogate)
    rank = f"rank correlation with true errors {found['rank_correlation']:.3f}"
    return f"{name}, stated bound", rank, f"exact, {found['queries']:,} queries", f"covers {found['covered']:.1%}"


def _five_parameters() -> Row:
    plane, box = (
        Region.plane((0, 1, 0), (0, 0, 1)),
        dict(width=(1, 3), Jab=(4, 8), Jc=(2.5, 6), Dx=(0.1, 1), Dy=(0.02, 0.5)),
    )
    learnt = train(exact(load_model("luvo3")), Recipe(), (0, 50), plane, minutes=9.5, free=["width"], bounds=box)
    facts = json.loads(learnt.provenance)
    held = facts["held_out"]
    r = f"r median {held['r_median']:.5f}, least {held['r_min']:.5f}"
    cost = f"{facts['cost']['seconds']:.0f} s"
    return "luvo3, five parameters, in a plane", r, f"exact, {held['spectra']} held-out sets", cost


def published_rows() -> Iterator[Callable[[], Row]]:
    """The same 200 random J and Jp for all; each against the exact simulator at the q_fwhm that it has learnt."""

    def preset() -> Row:
        fraction = float(os.environ.get("INSIREN_BENCH_FRACTION", "0.1"))
        begin = time.perf_counter()
        surrogate = learn(Paper(exact(load_model("la2nio4")), fraction))
        return accuracy_row(
            f"preset paper, {fraction:g} of it", surrogate, 0.0, f", {time.perf_counter() - begin:.0f} s"
        )

    yield preset
    if (net := released()) is not None:
        yield lambda: accuracy_row("released weights", net, 0.0)
    for name in bundled_surrogates():
        yield lambda name=name: accuracy_row(f"{name}, preset default", load_surrogate(name), 0.01)


def torch_rows() -> Iterator[Callable[[], Row]]:
    """Adam steps and evaluations of one network here and in PyTorch, in turn, on one core each; CPU seconds."""
    if not PEERS.exists() or subprocess.run([PEERS, "-c", "import torch"], capture_output=True).returncode:
        return
    yield lambda: _beside_torch("train")
    yield lambda: _beside_torch("evaluate")


def _beside_torch(what: str) -> Row:
    comparison = Path(__file__).parents[1] / "comparison"
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.npz"
        sizes = {"inputs": INPUTS, "width": WIDTH, "layers": LAYERS, "batch": BATCH, "steps": STEPS}
        np.savez(problem, what=what, **sizes)
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(comparison), *sys.path])}
        scripts = ((sys.executable, Path(__file__)), (PEERS, comparison / "run_torch.py"))
        codes = [
            subprocess.Popen(
                ["taskset", "-c", "0", python, script, problem, Path(folder) / f"{n}.npz"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=env,
            )
            for n, (python, script) in enumerate(scripts)
        ]
        assert all(code.stdout is not None and code.stdout.readline() == "ready\n" for code in codes)
        times = np.array([[_once(code) for code in codes] for _ in range(RUNS + 1)])[1:]
        for code in codes:
            code.communicate()
    ratio = times[:, 1] / times[:, 0]
    mine, other = np.median(times, axis=0) / STEPS * 1e3
    name = "Adam step of a network" if what == "train" else "evaluation of a network"
    spread = f"{np.median(ratio):.2f}× ({ratio.min():.2f} … {ratio.max():.2f})"
    return f"{name}, {BATCH} points", f"{mine:.2f} ms", f"{other:.2f} ms, PyTorch", spread


def _once(code: subprocess.Popen[str]) -> float:
    assert code.stdin is not None and code.stdout is not None
    code.stdin.write("\n")
    code.stdin.flush()
    return float(code.stdout.readline())


def prepare(problem: dict[str, np.ndarray]) -> Callable[[], object]:
    """What is timed here: 20 Adam steps, or 20 evaluations, of a sine network."""
    inputs, width, layers, batch, steps = (int(problem[k]) for k in ("inputs", "width", "layers", "batch", "steps"))
    key = jax.random.key(0)
    net, adam = siren(inputs, width, layers, key), optax.adam(1e-3)
    x, y = jax.random.uniform(key, (batch, inputs), jnp.float32), jnp.zeros(batch, jnp.float32)
    forward = jax.jit(lambda net, x: net(x))
    if problem["what"] == "evaluate":
        return lambda: [forward(net, x).block_until_ready() for _ in range(steps)]

    @jax.jit
    def step(net: Siren, moments: optax.OptState):
        slope = jax.grad(lambda net: jnp.mean((net(x) - y) ** 2))(net)
        change, moments = adam.update(slope, moments, net)  # pyright: ignore[reportArgumentType]
        return optax.apply_updates(net, change), moments  # pyright: ignore[reportArgumentType]

    def run() -> object:
        state = net, adam.init(net)  # pyright: ignore[reportArgumentType]
        for _ in range(steps):
            state = step(*state)
        return jax.block_until_ready(state)

    return run


if __name__ == "__main__":
    from serve import serve

    serve(prepare, lambda _, found: {})
