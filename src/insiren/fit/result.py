"""The answer of a fit."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

import insiren
from insiren.data.spectrum import Measured
from insiren.fit.choice import limits_of
from insiren.fit.objective import Profile
from insiren.fit.problem import Problem
from insiren.fit.signal import Signal
from insiren.forward import Parameter

if TYPE_CHECKING:
    from insiren.fit.posterior import Posterior
    from insiren.fit.systematics import Systematics

_LOPSIDED = 0.3  # σ; the mean of thousands of residuals of a right model is within a few hundredths


@dataclasses.dataclass(frozen=True, eq=False)
class Map:
    """One data set beside its model.

    Attributes:
        measured: the data set.
        intensity: what was fitted, a fixed background subtracted, shape (d,).
        profile: scale, background and model of each pixel.
    """

    measured: Measured
    intensity: np.ndarray
    profile: Profile


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """The best parameters with errors, and all that a report needs.

    Attributes:
        parameters: the free ones, with bounds.
        fixed: (name, value) of the fixed ones.
        ties: (name, expression) of the tied ones.
        values: of every parameter by name, in its unit.
        errors: standard errors by name; None where fixed, at a bound or not determined.
        covariance: of the free parameters, in their units, shape (p, p); NaN at a bound or without effect.
        at_bound: whether each free parameter ended at a bound.
        description: what the Forward says of itself.
        objective: "gaussian", "poisson" or "pearson".
        background: how the background was treated.
        objective_value: χ², Poisson deviance, or 1 − r.
        chi2_reduced: per degree of freedom; None for Pearson.
        noise: the factor on the covariance that the residuals ask for.
        starts: raw starts, and how many of their local descents end here.
        maps: each data set beside its model.
        surrogate_check: what the exact simulator says of a surrogate's answer, or None.
        problem: the residuals as a function of the free parameters.
        warnings: remarks for the user, besides those that follow from the above.
        settings: seed and preset, and what the preset found besides.
        identified: in words, what the data determine and what not.
        undetermined: parameters, free or tied, of which the data say less than the bounds do.
        systematics: how far the answer moves with each choice, once asked for.
        posterior: samples of it, once asked for.
        signal: how much it explains beyond no magnon at all; None of peaks alone and of Pearson's objective.
        search: how many points of the box were looked at, and whether two searches agree.
        choices: of "legs", "weights" and "background": which was "chosen", whether it was "asked" for, and else why.
    """

    parameters: tuple[Parameter, ...]
    fixed: tuple[tuple[str, float], ...]
    ties: tuple[tuple[str, str], ...]
    values: dict[str, float]
    errors: dict[str, float | None]
    covariance: np.ndarray
    at_bound: tuple[bool, ...]
    description: dict[str, Any]
    objective: str
    background: str
    objective_value: float
    chi2_reduced: float | None
    noise: float
    starts: tuple[int, int]
    maps: tuple[Map, ...]
    surrogate_check: dict[str, Any] | None
    problem: Problem
    warnings: tuple[str, ...] = ()
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    identified: tuple[str, ...] = ()
    undetermined: tuple[str, ...] = ()
    systematics: Systematics | None = None
    posterior: Posterior | None = None
    signal: Signal | None = None
    search: dict[str, Any] | None = None
    choices: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def total_errors(self) -> dict[str, float | None]:
        """Statistical and systematic error of each parameter in quadrature, by name; None where there is none."""
        if self.systematics is None:
            return dict(self.errors)
        total = self.systematics.total
        return {n: None if e is None else float(np.hypot(e, total.get(n, 0.0))) for n, e in self.errors.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the free parameters, in the order of the covariance."""
        return tuple(p.name for p in self.parameters)

    @property
    def theta(self) -> np.ndarray:
        """Values of the free parameters, shape (p,)."""
        return np.array([self.values[name] for name in self.names])

    @property
    def correlation(self) -> np.ndarray:
        """Correlation of the free parameters, shape (p, p); NaN at a bound."""
        sigma = np.sqrt(np.diag(self.covariance))
        return self.covariance / np.outer(sigma, sigma)

    @property
    def n_data(self) -> int:
        """Pixels that entered the fit."""
        return sum(int(m.measured.used.sum()) for m in self.maps)

    @property
    def n_masked(self) -> int:
        """Pixels left out."""
        return sum(m.measured.n_masked for m in self.maps)

    def _mean_residual(self) -> float:
        """Mean of (data − model)/σ over the used pixels of all data sets."""
        parts = [((m.intensity - np.asarray(m.profile.model)) / m.measured.sigma)[m.measured.used] for m in self.maps]
        return float(np.mean(np.concatenate(parts)))

    def identifiability(self) -> list[str]:
        """In words: how well each parameter is known, and which combinations of those that are not."""
        return list(self.identified)

    def remarks(self) -> list[str]:
        """What the user should know before quoting the numbers."""
        said = [*self.warnings, *self.description.get("remarks", ())]
        for p, edge in zip(self.parameters, self.at_bound, strict=True):
            if edge:
                said.append(self._at_edge(p))
            elif p.name in self.undetermined:
                said.append(self._open(p))
        for name, tie in self.ties:
            if name in self.undetermined:
                said.append(f"{name} = {tie} is not determined: it follows a parameter that is not.")
        if self.chi2_reduced is not None and self.chi2_reduced > 2:
            said.append(
                f"χ² per degree of freedom is {self.chi2_reduced:.1f}: the model leaves structure in the data. The "
                f"errors are widened by {np.sqrt(self.noise):.2f} for it, but a shift that the misfit causes is not in "
                "them."
            )
        mean = self._mean_residual()
        if self.objective == "gaussian" and abs(mean) > _LOPSIDED:
            said.append(
                f"The residuals average {mean:+.2f} σ instead of 0: errors estimated from the intensities themselves "
                "are smallest where a pixel fluctuated low, and pull scale and background down with them. Compare "
                "values of --sigma-floor, or fit counts."
            )
        n, agree = self.starts
        if agree < n / 2:
            said.append(f"Only {agree} of {n} raw starts descend to this minimum; the global search found it.")
        return said

    def _at_edge(self, p: Parameter) -> str:
        """That a parameter ended at its bound, and what to do: what a surrogate has not learnt no bound can widen."""
        ended = f"{p.name} ended at a bound of {p.min:g} … {p.max:g} {p.unit}, so it has no error; "
        nearer = int(self.values[p.name] > (p.min + p.max) / 2)
        if (p.min, p.max)[nearer] == limits_of(p.name, self.problem.sources)[nearer]:
            return ended + (
                "the surrogate has learnt nothing beyond. Use the exact simulator, or train a surrogate over a larger "
                f"box (insiren train MODEL --bound {p.name}=LO:HI)."
            )
        return ended + f"widen it with --bound {p.name}=LO:HI, or fix it."

    def _open(self, p: Parameter) -> str:
        """That a parameter is not determined, why, and what to do."""
        k = self.names.index(p.name)
        size, why = self.covariance[k, k], "it changes nothing that others do not undo"
        if not np.isfinite(size):
            why = "it has no effect on these pixels"
        elif np.sqrt(size) >= (p.max - p.min) / 2:
            why = f"its error covers all of its bounds {p.min:g} … {p.max:g}{' ' * bool(p.unit)}{p.unit}"
        return (
            f"{p.name} is not determined: {why}, so that the value given is as good as others. Fix it with --fix "
            f"{p.name}=VALUE, tie it to another parameter with --tie, or add data that depend on it."
        )

    def _beside(self, name: str) -> dict[str, float | None]:
        """The systematic and the total error of a parameter, where they are known."""
        if self.systematics is None or name not in self.names:
            return {}
        return {"systematic": self.systematics.total[name], "total_error": self.total_errors[name]}

    def to_dict(self) -> dict[str, Any]:
        """The fit as JSON would hold it."""
        free = dict(zip(self.names, self.at_bound, strict=True))
        units = {p.name: p.unit for one in self.problem.sources for p in one.parameters}
        floors = {m.measured.sigma_floor for m in self.maps}
        ceilings = {m.measured.sigma_max for m in self.maps}
        return {
            "insiren": insiren.__version__,
            **{key: self.description.get(key) for key in ("model", "forward", "hamiltonian", "digest")},
            "objective": self.objective,
            "background": self.background,
            "parameters": {
                name: {
                    "value": value,
                    "error": self.errors[name],
                    "determined": name not in self.undetermined,
                    **self._beside(name),
                    "unit": units[name.partition("[")[0]],
                    "fixed": name not in free,
                    "tie": dict(self.ties).get(name),
                    "at_bound": free.get(name, False),
                }
                for name, value in self.values.items()
            },
            "free": list(self.names),
            "correlation": _plain(self.correlation),
            "covariance": _plain(self.covariance),
            "objective_value": self.objective_value,
            "chi2_reduced": self.chi2_reduced,
            "n_data": self.n_data,
            "n_masked": self.n_masked,
            "data": [
                {"name": m.measured.name, "n_data": int(m.measured.used.sum()), "scale": float(m.profile.scale)}
                for m in self.maps
            ],
            "starts": {"n": self.starts[0], "agree": self.starts[1]},
            "search": self.search,
            "signal": None if self.signal is None else self.signal.to_dict(),
            "identifiability": self.identifiability(),
            "scattering": self.description.get("scattering"),
            "quadrature": self.description.get("quadrature"),
            "sigma_floor": _single(floors),
            "sigma_max": _single(ceilings),
            "surrogate_check": self.surrogate_check,
            "systematics": None if self.systematics is None else self.systematics.to_dict(),
            "posterior": None if self.posterior is None else self.posterior.to_dict(),
            "settings": self.settings,
            "choices": self.choices,
            "warnings": self.remarks(),
        }


def _plain(matrix: np.ndarray) -> list[list[float | None]]:
    """A matrix as JSON holds it, None for NaN."""
    return [[float(x) if np.isfinite(x) else None for x in row] for row in matrix]


def _single(values: set[Any]) -> Any:
    """The one value of a set, or all of them as a list."""
    return next(iter(values)) if len(values) == 1 else sorted(values, key=str)
