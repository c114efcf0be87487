"""Trainings as rows of the table: the published protocol, its released weights and the bundled surrogate; PyTorch.

INSIREN_BENCH_FRACTION is the part of the 1,200 published images that is trained on; 0.1 by default, about 90,000 steps.
"""

from __future__ import annotations

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
from surrogate_accuracy import on_paths

from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.surrogate.loop import learn
from insiren.surrogate.paper import Paper
from insiren.surrogate.siren import Siren, siren
from insiren.surrogate.store import bundled_surrogates, load_surrogate
from insiren.surrogate.surrogate import Surrogate

PEERS = Path(__file__).parents[1] / ".bench-peers" / "bin" / "python"
INPUTS, WIDTH, LAYERS, BATCH, STEPS, RUNS = 6, 96, 4, 2048, 20, 5
Row = tuple[str, str, str, str]


def _row(name: str, surrogate: Surrogate, q_fwhm: float, cost: str) -> Row:
    found = on_paths(surrogate, q_fwhm)
    r = f"r median {np.median(found.r):.5f}, least {np.min(found.r):.5f}"
    bias, spread = np.nanmean(found.ridge_bias), np.nanmedian(found.ridge_spread)
    return name, r, f"exact, q_fwhm {q_fwhm:g}, 200 sets{cost}", f"ridge {bias:+.3f} ± {spread:.3f} meV"


def published_rows() -> Iterator[Callable[[], Row]]:
    """The same 200 random J and Jp for all; each against the exact simulator at the q_fwhm that it has learnt."""

    def preset() -> Row:
        fraction = float(os.environ.get("INSIREN_BENCH_FRACTION", "0.1"))
        begin = time.perf_counter()
        surrogate = learn(Paper(exact(load_model("la2nio4")), fraction))
        return _row(f"preset paper, {fraction:g} of it", surrogate, 0.0, f", {time.perf_counter() - begin:.0f} s")

    yield preset
    if (net := released()) is not None:
        yield lambda: _row("released weights", net, 0.0, "")
    for name in bundled_surrogates():
        yield lambda name=name: _row(f"{name}, preset default", load_surrogate(name), 0.01, "")


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
