"""The bundled surrogate against its simulator on the paper's two paths, as a table row prints it."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from insiren.forward import Points
from insiren.model.crystal import route
from insiren.surrogate.accuracy import Accuracy, accuracy
from insiren.surrogate.labels import draw
from insiren.surrogate.surrogate import Surrogate
from insiren.surrogate.trust import agreement

QUERIES = 1000
REFERENCE = {"J": 29.0, "Jp": 1.67}  # where c of log(1 + c S) is taken from
AROUND_M = 0.02  # r.l.u. left out around (1/2, 1/2): the intensity diverges there


def stated(surrogate: Surrogate, seed: int = 0) -> dict[str, Any]:
    """How the error map of a surrogate compares with its true errors at 1,000 new (Q, ω, parameters), evenly drawn."""
    labels = lambda key: draw(surrogate.simulator, surrogate.domain, surrogate.scale, QUERIES, key)  # noqa: E731
    x, y = labels(jax.random.key(seed + 5_000_011))  # a stream that no training uses
    return agreement(surrogate.errors, surrogate.net, (x[:, -1], y[:, -1]))  # the last energies are uniform


def on_paths(surrogate: Surrogate, q_fwhm: float = 0.085, sets: int = 200, seed: int = 0) -> Accuracy:
    """Agreement on both paths, 5–199 meV, for random stable J and Jp at one q_fwhm (r.l.u.)."""
    model = surrogate.simulator.model
    hkl = np.concatenate([route(model, name)[0] for name in ("path1", "path2")])
    hkl = hkl[np.linalg.norm(hkl[:, :2] - 0.5, axis=1) > AROUND_M]
    omega = np.arange(5.0, 200.0, 1.0)
    S = np.asarray(surrogate.simulator(REFERENCE | {"q_fwhm": q_fwhm}, Points.table(hkl, omega)))
    c = 10 / np.median(S.reshape(len(hkl), -1).max(axis=1))
    return accuracy(surrogate, hkl, omega, sets, seed, {"q_fwhm": q_fwhm}, c)
