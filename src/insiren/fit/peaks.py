"""Lists of peaks as a fit sees them: mode energies that were observed, beside those of a model.

The residual of a peak is (observed − calculated)/σ of its energy, the calculated one that of the mode it is
assigned to. While the assignment stands the residual is smooth. Where it changes, the objective has a kink, and
by the rule "nearest" no jump, since it is the least over all assignments.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipp as sc
from jaxtyping import Array, Float, Int

from insiren.data.adopt import CRYSTAL
from insiren.errors import FitError
from insiren.fit.assignment import LEVEL, Rule, assigned
from insiren.fit.problem import Choice, Problem
from insiren.forward import Bands, Forward


class PeakSet(NamedTuple):
    """A list of peaks as plain arrays.

    Attributes:
        name: of the list.
        hkl: distinct wavevectors in r.l.u., shape (q, 3).
        at: the wavevector of each peak, shape (p,).
        energy: in meV, shape (p,).
        sigma: standard deviations in meV, shape (p,).
        window: least and largest energy in meV that was looked at, shape (p, 2).
    """

    name: str
    hkl: Float[np.ndarray, "q 3"]
    at: Int[np.ndarray, " p"]
    energy: Float[np.ndarray, " p"]
    sigma: Float[np.ndarray, " p"]
    window: Float[np.ndarray, "p 2"]


def peak_set(data: sc.DataArray) -> PeakSet:
    """The plain arrays of a list of peaks as `data.peaks.peak_list` makes it."""
    place = np.stack([data.coords[c].values for c in CRYSTAL], 1)
    hkl, at = np.unique(place, axis=0, return_inverse=True)
    window = np.stack([data.coords[f"energy_{end}"].values for end in ("low", "high")], 1)
    return PeakSet(data.name, hkl, at.reshape(-1), data.values, np.sqrt(data.variances), window)


class PeakProblem(eqx.Module):
    """A Forward that knows its modes, lists of peaks and a choice of parameters: residuals as a function of θ.

    Attributes:
        forward: what calculates the modes.
        bands: the same, seen through the seam of mode energies.
        sets: lists of peaks.
        choice: free, fixed and tied parameters.
        rule: how peaks find their modes.
    """

    forward: Forward
    bands: Bands
    sets: tuple[PeakSet, ...]
    choice: Choice = eqx.field(static=True)
    rule: Rule = eqx.field(static=True, default="nearest")

    @property
    def data(self) -> tuple[()]:
        """There is no map."""
        return ()

    def near(self, theta: np.ndarray) -> PeakProblem:
        """The same: modes need no preparation."""
        return self

    def covers(self, theta: np.ndarray) -> bool:
        """Whether θ is near enough: modes need no preparation."""
        return True

    @property
    def _hkl(self) -> Array:
        return jnp.asarray(np.concatenate([one.hkl for one in self.sets]))

    def whole(self) -> PeakSet:
        """All lists as one."""
        first = np.cumsum([0, *(len(one.hkl) for one in self.sets[:-1])])
        at = np.concatenate([one.at + n for one, n in zip(self.sets, first, strict=True)])
        rest = [np.concatenate([getattr(one, name) for one in self.sets]) for name in ("energy", "sigma", "window")]
        return PeakSet("", np.asarray(self._hkl), at, *rest)

    def modes(self, theta: np.ndarray) -> Int[np.ndarray, " p"]:
        """The mode of each peak at θ, (p,), numbered as the Forward does."""
        E, I = (np.asarray(x) for x in _bands(self.bands, self.choice, jnp.asarray(theta), self._hkl))
        return self._matched(E, I)

    def _matched(self, E: np.ndarray, I: np.ndarray) -> np.ndarray:
        peaks = self.whole()
        return assigned(E, I, peaks.at, peaks.energy, peaks.sigma, peaks.window, self.rule)

    def energies(self, theta: np.ndarray) -> Float[np.ndarray, " p"]:
        """The calculated energy of each peak in meV, (p,)."""
        E, I = (np.asarray(x) for x in _bands(self.bands, self.choice, jnp.asarray(theta), self._hkl))
        return E[self.whole().at, self._matched(E, I)]

    def _residual(self, E: np.ndarray, I: np.ndarray) -> np.ndarray:
        peaks = self.whole()
        if not np.all(np.isfinite(E)):
            return np.full(len(peaks.at), np.nan)
        return (peaks.energy - E[peaks.at, self._matched(E, I)]) / peaks.sigma

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """(observed − calculated)/σ of every peak, (p,); NaN where the structure is unstable."""
        E, I = (np.asarray(x) for x in _bands(self.bands, self.choice, jnp.asarray(theta), self._hkl))
        return self._residual(E, I)

    def objective(self, theta: np.ndarray) -> float:
        """χ² at θ; infinite where the structure is unstable."""
        value = float(np.sum(self.residual(theta) ** 2))
        return value if np.isfinite(value) else np.inf

    def many_bands(self, thetas: Float[np.ndarray, "t p"]) -> tuple[np.ndarray, np.ndarray]:
        """Energies in meV and weights of the modes at all wavevectors, both (t, q, n)."""
        E, I = _many_bands(self.bands, self.choice, jnp.asarray(thetas), self._hkl)
        return np.asarray(E), np.asarray(I)

    def objectives(self, thetas: Float[np.ndarray, "t p"]) -> Float[np.ndarray, " t"]:
        """χ² at many θ at once."""
        E, I = self.many_bands(thetas)
        values = np.array([np.sum(self._residual(e, i) ** 2) for e, i in zip(E, I, strict=True)])
        return np.where(np.isfinite(values), values, np.inf)

    def jacobian(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The residual and its derivatives (peaks, p) at θ, the assignment held."""
        E, I, dE = (np.asarray(x) for x in _slopes(self.bands, self.choice, jnp.asarray(theta), self._hkl))
        peaks, modes = self.whole(), self._matched(E, I)
        return self._residual(E, I), -dE[peaks.at, modes] / peaks.sigma[:, None]


class JointProblem(Problem):
    """Maps and lists of peaks under one choice of parameters: the residuals of the maps, then those of the peaks.

    Attributes:
        peaks: the problem of the lists.
    """

    peaks: PeakProblem

    @property
    def n_peaks(self) -> int:
        return sum(len(one.at) for one in self.peaks.sets)

    def objective(self, theta: np.ndarray) -> float:
        return super().objective(theta) + self.peaks.objective(theta)

    def residual(self, theta: np.ndarray) -> np.ndarray:
        return np.concatenate([super().residual(theta), self.peaks.residual(theta)])

    def jacobian(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = (super().jacobian(theta), self.peaks.jacobian(theta))
        r, J = (np.concatenate(both) for both in zip(*parts, strict=True))
        return r, J


def joined(problem: Problem, sets: tuple[PeakSet, ...], rule: Rule = "nearest") -> JointProblem:
    """A problem of maps with lists of peaks besides.

    Raises:
        FitError: the objective has no σ to weigh peaks against, or the Forward does not know its modes.
    """
    if problem.kind == "pearson":
        raise FitError("The Pearson objective has no σ to weigh peaks against; fit them by --objective gaussian.")
    peaks = peak_problem(problem.forward, sets, problem.choice, rule)
    parts = {field.name: getattr(problem, field.name) for field in dataclasses.fields(problem)}
    return JointProblem(**parts, peaks=peaks)


def peak_problem(forward: Forward, sets: tuple[PeakSet, ...], choice: Choice, rule: Rule = "nearest") -> PeakProblem:
    """The problem of lists of peaks.

    Raises:
        FitError: the Forward does not know its modes.
    """
    for source in (forward, forward.exact):
        if isinstance(source, Bands):
            known = {p.name for p in source.parameters}
            given = {*choice.names, *dict(choice.fixed), *dict(choice.ties)}
            rest = tuple((p.name, p.value) for p in source.parameters if p.name not in given)
            wider = dataclasses.replace(choice, fixed=(*choice.fixed, *rest))
            if idle := [name for name in choice.names if name not in known]:
                raise FitError(f"{', '.join(idle)} has no effect on mode energies; fix it with --fix NAME=VALUE.")
            return PeakProblem(forward, source, sets, wider, rule)
    raise FitError(
        "Peaks are compared with the energies of modes, and this Forward gives spectra alone. Fit them with the "
        "exact simulator of a model."
    )


@eqx.filter_jit
def _bands(source: Bands, choice: Choice, theta: Float[Array, " p"], hkl: Float[Array, "q 3"]):
    return source.bands(choice.values(theta), hkl)


@eqx.filter_jit
def _many_bands(source: Bands, choice: Choice, thetas: Float[Array, "t p"], hkl: Float[Array, "q 3"]):
    return jax.lax.map(lambda theta: source.bands(choice.values(theta), hkl), thetas)


@eqx.filter_jit
def _slopes(source: Bands, choice: Choice, theta: Float[Array, " p"], hkl: Float[Array, "q 3"]):
    """Energies (q, n), weights (q, n), and derivatives of the energies (q, n, p).

    Within a level the derivative of one mode depends on how the level splits; that of the middle of what is seen of
    it does not, and is the same for all its modes.
    """

    def along(direction: Array):
        return jax.jvp(lambda t: source.bands(choice.values(t), hkl), (theta,), (direction,))

    (E, I), (dE, _) = jax.vmap(along, out_axes=((None, None), 0))(jnp.eye(theta.shape[0]))
    same = jnp.abs(E[:, :, None] - E[:, None, :]) < LEVEL * jnp.max(E, axis=1)[:, None, None]
    share = jnp.where(same, I[:, None, :], 0)
    share = share / jnp.maximum(share.sum(-1, keepdims=True), jnp.finfo(float).tiny)
    return E, I, jnp.einsum("qnm,pqm->qnp", share, dE)
