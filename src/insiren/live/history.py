"""The answers so far: how far they agree with each other, and how long the rest takes.

The counts of two updates of one measurement are nested, so that the covariance of two estimates is the variance of the
later one, and their difference has the variance V_early − V_late. Where that is small beside V_early the later counts
say nothing new, and the difference of two nearly equal variances is rounding and misfit: such directions cannot be
judged. Errors fall with the root of the neutrons.

Source: Hausman, Econometrica 46, 1251 (1978), for the variance of the difference of an efficient and a nested estimate;
Hausman and Taylor, Econ. Lett. 8, 239 (1981), for the generalised inverse where it is singular.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

EARLIER = 2.0  # an answer is compared with that at this factor fewer neutrons
_NEAR = 1.5  # factor from there within which the earlier answer must lie
_RECENT = 4.0  # factor in neutrons of the history that a forecast uses
_THIN = 1.05  # factor in neutrons between two answers that are kept
_FEWEST = 3  # answers from which a scatter can be told
_SCATTER = 0.03  # least relative scatter of an error: what 500 effective neutrons would leave
_BLIND = 1e-12  # of the largest eigenvalue of a correlation matrix: smaller ones are rounding
_SHRUNK = 0.2  # of V_early, by which V_late is less where the later counts say something new: 10 % of an error


class Answer(NamedTuple):
    """One update's answer.

    Attributes:
        number: of its snapshot.
        neutrons: it is based on.
        names: of the free parameters.
        theta: their values, shape (p,).
        covariance: shape (p, p); NaN for those without an error.
        tension: with the earlier data in σ, or None.
        quoted: errors by name that hold the misfit of the model too, None where there is none; by default those of the
            covariance.
    """

    number: int
    neutrons: float
    names: tuple[str, ...]
    theta: np.ndarray
    covariance: np.ndarray
    tension: float | None = None
    quoted: Mapping[str, float | None] | None = None

    @property
    def errors(self) -> dict[str, float | None]:
        """The errors that are quoted, by name; None where there is none."""
        if self.quoted is not None:
            return dict(self.quoted)
        sigma = np.sqrt(np.diag(self.covariance))
        return {n: float(s) if np.isfinite(s) else None for n, s in zip(self.names, sigma, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON holds it in the history of a snapshot."""
        return {
            "number": self.number,
            "neutrons": self.neutrons,
            "values": dict(zip(self.names, self.theta.tolist(), strict=True)),
            "errors": self.errors,
            "tension": self.tension,
        }


def answer_of(content: dict[str, Any]) -> Answer:
    """The answer in the JSON of a snapshot's fit.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    names, live = tuple(content["free"]), content["live"]
    covariance = np.array([[np.nan if x is None else x for x in row] for row in content["covariance"]], float)
    theta = np.array([content["parameters"][name]["value"] for name in names], float)
    tension = None if live["tension"] is None else float(live["tension"]["sigma"])
    entries = [(name, content["parameters"][name]) for name in names]
    quoted = {name: one.get("total_error", one["error"]) for name, one in entries}
    return Answer(
        int(live["number"]), float(live["neutrons"]), names, theta, covariance.reshape(len(names), len(names)), tension,
        quoted,
    )  # fmt: skip


def thinned(history: Sequence[Answer]) -> tuple[Answer, ...]:
    """Answers evenly spread over the logarithm of the neutrons, the last one always, so that a history stays short."""
    kept: list[Answer] = []
    for one in history:
        if len(kept) > 1 and one.neutrons < _THIN * kept[-2].neutrons:
            kept.pop()
        kept.append(one)
    return tuple(kept)


def earlier(history: Sequence[Answer], now: Answer) -> Answer | None:
    """The answer at about half the neutrons, or None where there is none near."""
    alike = [one for one in history if one.names == now.names and 0 < one.neutrons < now.neutrons]
    if not alike:
        return None
    wanted = now.neutrons / EARLIER
    best = min(alike, key=lambda one: abs(np.log(one.neutrons / wanted)))
    return best if wanted / _NEAR <= best.neutrons <= _NEAR * wanted else None


def tension(before: Answer, now: Answer) -> float | None:
    """How far an answer moved since an earlier one, in σ: the Gaussian σ of the same probability as dᵀ(V_e − V_l)⁺d.

    Directions in which the answer has become hardly more certain cannot be judged and are left out; None if none is
    left.
    """
    value, along = _difference(before, now)
    judged = value > _SHRUNK
    if not judged.any():
        return None
    return sigma_of(float(np.sum(along[judged] ** 2 / value[judged])), int(judged.sum()))


def moved(before: Answer, now: Answer) -> float:
    """How far an answer moved in units of the later error: more than any growth of the data allows, however little."""
    known = np.isfinite(np.diag(before.covariance)) & np.isfinite(np.diag(now.covariance))
    if not known.any():
        return 0.0
    step = (now.theta - before.theta)[known]
    square = float(step @ np.linalg.pinv(now.covariance[np.ix_(known, known)], hermitian=True) @ step)
    return sigma_of(square, int(known.sum()))


def judged(before: Answer, now: Answer) -> tuple[int, int]:
    """In how many directions of the parameters two answers can be compared, and how many there are."""
    value, _ = _difference(before, now)
    return int(np.sum(value > _SHRUNK)), len(value)


def _difference(before: Answer, now: Answer) -> tuple[np.ndarray, np.ndarray]:
    """V_early − V_late and the move along its principal directions, in units in which V_early is 1."""
    known = np.isfinite(np.diag(before.covariance)) & np.isfinite(np.diag(now.covariance))
    early, late = (one.covariance[np.ix_(known, known)] for one in (before, now))
    size = np.sqrt(np.diag(early))
    scale, turn = np.linalg.eigh(early / np.outer(size, size))
    sound = scale > _BLIND * scale[-1:]
    root = turn[:, sound].T / np.sqrt(scale[sound])[:, None] / size
    value, vector = np.linalg.eigh(np.eye(int(sound.sum())) - root @ late @ root.T)
    return value, vector.T @ (root @ (now.theta - before.theta)[known])


def sigma_of(square: float, freedom: int) -> float:
    """The |z| of a Gaussian that is as improbable as this χ²."""
    logarithm = stats.chi2.logsf(square, freedom)
    if logarithm < -500:  # beyond it the inverse underflows; there z² ≈ χ²
        return float(np.sqrt(square))
    return float(stats.norm.isf(np.exp(logarithm) / 2))


class Forecast(NamedTuple):
    """How many neutrons a target error takes, and between which numbers with 68 %; None where unknown."""

    neutrons: float | None
    low: float | None
    high: float | None


def forecast(history: Sequence[Answer], name: str, target: float, factor: float = 1.0) -> Forecast:
    """The neutrons at which an error reaches its target.

    Fits error = a N^(−1/2) to the recent history. The uncertainty is that of a's scatter, for a single answer: the
    answer that meets the target will scatter as those so far.

    Args:
        history: answers, the present one last.
        name: of the parameter.
        target: in its unit.
        factor: on the standard error, for intervals of another confidence.
    """
    last = history[-1].neutrons
    points = [
        (one.neutrons, factor * e) for one in history
        if one.neutrons >= last / _RECENT and (e := one.errors.get(name)) is not None and e > 0 and one.neutrons > 0
    ]  # fmt: skip
    if not points:
        return Forecast(None, None, None)
    logs = np.array([np.log(error) + 0.5 * np.log(n) for n, error in points])
    # the newest answers are those most like the one to come
    centre = float(np.median(logs[-_FEWEST:]))
    needed = float(np.exp(2 * (centre - np.log(target))))
    if len(logs) < _FEWEST:
        return Forecast(needed, None, None)
    scatter = max(_SCATTER, float(np.std(logs, ddof=1)))
    return Forecast(needed, needed * float(np.exp(-2 * scatter)), needed * float(np.exp(2 * scatter)))


def z_of(confidence: Float[np.ndarray, ""] | float) -> float:
    """Half the width of a Gaussian's central interval of this probability, in σ."""
    return float(stats.norm.ppf((1 + float(confidence)) / 2))
