"""Samples from any Python callable, its calls fanned out over the workers of a cluster.

The callable need not be traceable by JAX: exact diagonalisation, a Monte Carlo, another programme.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import qmc

from insiren.errors import SurrogateError
from insiren.forward import Parameter, Points
from insiren.surrogate.samples import Samples, samples

Theory = Callable[[dict[str, float], Points], ArrayLike]
HERE = "here"  # in place of a cluster: one call after the other in this process


def sample(
    function: Theory,
    parameters: tuple[Parameter, ...],
    hkl: ArrayLike,
    omega: ArrayLike,
    sets: int,
    seed: int = 0,
    cluster: Any = None,
    progress: Callable[[int, int], None] = lambda done, sets: None,
) -> Samples:
    """Spectra of a theory at evenly spread parameters, for `train_on`.

    Args:
        function: `function(params, points)` gives S (d,) for numbers by name at a table of points; NaN
            where there is no answer. It has to be picklable, where a cluster has processes.
        parameters: with the bounds of the box.
        hkl: wavevectors in r.l.u., shape (q, 3).
        omega: energies in meV, shape (w,).
        sets: how many parameter sets to compute; a power of 2 spreads best.
        seed: of the parameter sets. The result does not depend on the cluster.
        cluster: a dask cluster or client, the address of a scheduler ("tcp://host:8786"), "here" for this process
            alone; by default a local cluster with a process for each core. A script that uses the
            default needs `if __name__ == "__main__":`, like all that starts processes.
        progress: told how many sets are done, of how many.

    Raises:
        SurrogateError: the function failed, or returned another shape; dask is not installed.
    """
    box = np.array([[p.min, p.max] for p in parameters])
    spread = qmc.Sobol(len(parameters), rng=seed).random_base2(max(0, int(np.ceil(np.log2(max(1, sets))))))
    params = box[:, 0] + spread[:sets] * (box[:, 1] - box[:, 0])
    hkl, omega = np.asarray(hkl, float), np.asarray(omega, float)
    tasks = [{p.name: float(x) for p, x in zip(parameters, row, strict=True)} for row in params]
    S = np.empty((sets, len(hkl), len(omega)))
    results = _here(function, tasks, hkl, omega) if cluster == HERE else _there(function, tasks, hkl, omega, cluster)
    for done, (n, found) in enumerate(results, 1):
        S[n] = found
        progress(done, sets)
    return samples(parameters, params, hkl, omega, S)


def computed(function: Theory, params: dict[str, float], hkl: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """S of a table of points, shape (q, w).

    Raises:
        SurrogateError: the function failed, or returned another shape.
    """
    at = ", ".join(f"{name} = {value:.6g}" for name, value in params.items())
    try:
        S = np.asarray(function(dict(params), Points.table(hkl, omega)), float)
    except Exception as error:  # whatever a user's theory may raise
        raise SurrogateError(
            f"The function failed at {at}: {error!r}. Let it return NaN where it has no answer."
        ) from error
    if S.shape != (len(hkl) * len(omega),):
        raise SurrogateError(
            f"The function returned shape {S.shape} at {at}; {len(hkl)} wavevectors by {len(omega)} energies are "
            f"({len(hkl) * len(omega)},) points."
        )
    return S.reshape(len(hkl), len(omega))


def _here(
    function: Theory, tasks: list[dict[str, float]], hkl: np.ndarray, omega: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    for n, params in enumerate(tasks):
        yield n, computed(function, params, hkl, omega)


def _there(
    function: Theory, tasks: list[dict[str, float]], hkl: np.ndarray, omega: np.ndarray, cluster: Any
) -> Iterator[tuple[int, np.ndarray]]:
    """Results as the workers of a cluster finish them."""
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise SurrogateError(
            "Fanning out needs dask.distributed: pip install 'insiren[cluster]'; or give cluster='here'."
        ) from error
    own = cluster is None
    if own:
        cluster = distributed.LocalCluster(threads_per_worker=1, dashboard_address=None)
    client = cluster if isinstance(cluster, distributed.Client) else distributed.Client(cluster)
    try:
        shared = client.scatter((hkl, omega), broadcast=True)
        futures = [client.submit(_on_worker, function, params, shared, pure=False) for params in tasks]
        number = {future.key: n for n, future in enumerate(futures)}
        for future, found in distributed.as_completed(futures, with_results=True):
            yield number[future.key], found
    finally:
        if client is not cluster:
            client.close()
        if own:
            cluster.close()


def _on_worker(function: Theory, params: dict[str, float], points: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return computed(function, params, *points)
