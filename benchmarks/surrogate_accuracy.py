"""A surrogate against its simulator on the paper's two paths and in the plane, as rows of the table print it."""

from __future__ import annotations

import dataclasses
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
OMEGA = np.arange(5.0, 200.0, 1.0)
_TRUTH_NODES = 48  # along each axis of the Q broadening, for errors that are those of the network
_WIDE, _FINER = 0.03, 3  # r.l.u. from which on the shared grid converges only with so many times its nodes
_ANYWHERE = 150  # wavevectors of the plane


def stated(surrogate: Surrogate, seed: int = 0) -> dict[str, Any]:
    """How the error map of a surrogate compares with its true errors at 1,000 new (Q, ω, parameters), evenly drawn."""
    truth = dataclasses.replace(surrogate.simulator, own_nodes=_TRUTH_NODES)
    key = jax.random.key(seed + 5_000_011)  # a stream that no training uses
    x, y = draw(truth, surrogate.domain, surrogate.scale, QUERIES, key, surrogate.guide, surrogate.known)
    return agreement(surrogate.errors, surrogate.net, (x[:, -1], y[:, -1]))  # the last energies are uniform


def over_plane(surrogate: Surrogate, q_fwhm: float = 0.085, sets: int = 200, seed: int = 0) -> Accuracy:
    """Agreement at random wavevectors of the plane, 5–199 meV, as on the paths."""
    hkl = np.zeros((_ANYWHERE, 3))
    hkl[:, :2] = np.random.default_rng(seed + 1).uniform(0, 1, (_ANYWHERE, 2))
    return _agreement(surrogate, hkl, q_fwhm, sets, seed)


def on_paths(surrogate: Surrogate, q_fwhm: float = 0.085, sets: int = 200, seed: int = 0) -> Accuracy:
    """Agreement on both paths, 5–199 meV, for random stable J and Jp at one q_fwhm (r.l.u.)."""
    model = surrogate.simulator.model
    hkl = np.concatenate([route(model, name)[0] for name in ("path1", "path2")])
    return _agreement(surrogate, hkl, q_fwhm, sets, seed)


def _agreement(surrogate: Surrogate, hkl: np.ndarray, q_fwhm: float, sets: int, seed: int) -> Accuracy:
    hkl = hkl[np.linalg.norm(hkl[:, :2] - 0.5, axis=1) > AROUND_M]
    S = np.asarray(surrogate.simulator(REFERENCE | {"q_fwhm": q_fwhm}, Points.table(hkl, OMEGA)))
    c = 10 / np.median(S.reshape(len(hkl), -1).max(axis=1))
    refine = _FINER if q_fwhm > _WIDE else 1
    return accuracy(surrogate, hkl, OMEGA, sets, seed, {"q_fwhm": q_fwhm}, c, refine)
