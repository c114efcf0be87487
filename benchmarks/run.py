"""Speed and accuracy in one table: each row beside what it is compared to, measured in this run.

    python benchmarks/run.py            all rows
    python benchmarks/run.py accuracy   one part: peers, gradient, growth, volume, simulator, fit, training, torch,
                                        accuracy, minutes or published

The first three are in speed.py, which says how the peers are run; volumes.py has the large histograms. Times are
medians of five runs after a warm-up; a ratio comes with its least and largest over the pairs of runs.
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from fits import fit_rows
from rich.console import Console
from rich.table import Table
from speed import gradient_rows, growth_rows, peers_rows
from trained import accuracy_row, minutes_rows, published_rows, stated_row, torch_rows
from volumes import volume_rows

from insiren.forward import Points, complete
from insiren.instrument.exact import exact
from insiren.model.crystal import route
from insiren.model.spec import load_model
from insiren.simulate import lswt
from insiren.surrogate.siren import Siren, sine, siren
from insiren.surrogate.store import bundled_surrogates, load_surrogate

RUNS = 5
Row = tuple[str, str, str, str]


def paired(ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[float, float, list[float]]:
    """Median seconds of both, run in turn, and the ratio theirs/ours of each pair."""
    for one in (ours, theirs):
        jax.block_until_ready(one())
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        for spent, one in zip(times, (ours, theirs), strict=True):
            begin = time.perf_counter()
            jax.block_until_ready(one())
            spent.append(time.perf_counter() - begin)
    ratios = [b / a for a, b in zip(*times, strict=True)]
    return statistics.median(times[0]), statistics.median(times[1]), ratios


def speed(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], against: str) -> Row:
    mine, other, ratios = paired(ours, theirs)
    spread = f"{statistics.median(ratios):.2f}× ({min(ratios):.2f} … {max(ratios):.2f})"
    return name, f"{1e3 * mine:.2f} ms", f"{1e3 * other:.2f} ms, {against}", spread


def simulator_rows() -> Iterator[Callable[[], Row]]:
    model = load_model("la2nio4")
    simulator = exact(model)
    hkl = np.concatenate([route(model, name)[0] for name in ("path1", "path2")])
    points = Points.table(hkl, np.arange(20.0, 141.0))
    params = complete(simulator.parameters, {"q_fwhm": 0.085})
    names = ("J", "Jp", "q_fwhm")

    def spectrum(f: Any, theta: jax.Array) -> jax.Array:
        return f.spectrum(params | dict(zip(names, theta, strict=True)), points)

    def slopes(f: Any, theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        def along(direction: jax.Array) -> tuple[jax.Array, jax.Array]:
            return jax.jvp(lambda t: spectrum(f, t), (theta,), (direction,))

        return jax.vmap(along, out_axes=(None, 0))(jnp.eye(3))

    evaluate = eqx.filter_jit(spectrum)
    gradient, theta = eqx.filter_jit(slopes), jnp.array([29.0, 1.67, 0.085])
    planned = simulator.at(points, params)
    yield lambda: speed(
        "both paths, shared grid",
        lambda: evaluate(planned, theta),
        lambda: evaluate(simulator, theta),
        "16² nodes each",
    )
    yield lambda: speed(
        "spectrum with its gradient",
        lambda: gradient(planned, theta),
        lambda: evaluate(planned, theta),
        "spectrum alone",
    )
    many = jnp.asarray(np.random.default_rng(0).uniform(size=(20_000, 3)))
    W, w = lswt.weights(model, params), lswt.amplitudes(model, many)[:, 0]
    H, P = lswt.hamiltonian(model, W, many), jnp.eye(3)
    whole = jax.jit(jax.vmap(lambda H, w: lswt.lines((1, 1, -1, -1), H, w, P[None])))
    split = jax.jit(jax.vmap(lambda H, w: lswt.block_lines(model, H, w, P[None])))
    yield lambda: speed("20,000 Q by blocks", lambda: split(H, w), lambda: whole(H, w), "one 4 × 4 matrix each")
    for name in bundled_surrogates():
        network = load_surrogate(name)
        learnt, solved = functools.partial(evaluate, network, theta), functools.partial(evaluate, planned, theta)
        yield functools.partial(speed, "surrogate, both paths", learnt, solved, "exact simulator")


def training_rows() -> Iterator[Callable[[], Row]]:
    key = jax.random.key(0)
    net = siren(6, 96, 4, key)
    x, y = jax.random.uniform(key, (2048, 6), jnp.float32), jnp.zeros(2048, jnp.float32)

    def step(activation: Callable[[jax.Array], jax.Array]):
        def loss(net: Siren, x: jax.Array) -> jax.Array:
            for W, b in zip(net.weights[:-1], net.biases[:-1], strict=True):
                x = activation(x @ W + b)
            return jnp.mean(((x @ net.weights[-1] + net.biases[-1])[..., 0] - y) ** 2)

        compiled = jax.jit(jax.value_and_grad(loss))
        return lambda: [compiled(net, x) for _ in range(20)]

    yield lambda: speed("20 sine network steps", step(sine), step(jnp.sin), "XLA's sine")
    yield lambda: speed("20 network steps without sine", step(lambda x: x), step(sine), "with the sine")


def accuracy_rows() -> Iterator[Callable[[], Row]]:
    for name in bundled_surrogates():
        network = load_surrogate(name)
        for q_fwhm in (0.085, 0.01):
            yield functools.partial(accuracy_row, f"{name} at q_fwhm {q_fwhm}", network, q_fwhm)
        yield functools.partial(stated_row, name, network)


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    table = Table("measured", "ours", "compared with", "ratio, its spread; or ridge")
    for rows in (peers_rows, gradient_rows, growth_rows, volume_rows):
        if wanted in rows.__name__:
            for some in rows():
                for row in some():
                    table.add_row(*row)
    for rows in (simulator_rows, fit_rows, training_rows, torch_rows, accuracy_rows, minutes_rows, published_rows):
        if wanted in rows.__name__:
            for row in rows():
                table.add_row(*row())
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
