"""How far an answer moves with each choice that was made on the way to it, by refitting.

Every variant changes one choice and is fitted anew from the answer. Two kinds are told apart.

Choices of the analysis (σ floor, weights, background, width, quadrature): all variants describe the same
neutrons, so a shift is the choice's. The systematic error of a kind is half the spread of the answer and its
variants. A background that the data refute, by −2 log of its marginal likelihood more than 10 above that of the
answer's, is listed and not counted: it is no choice that was open.

Parts of the data (lower and higher ω, parted at several energies, halves of Q, each data set alone): their answers
differ by chance too. Whether they agree is asked of the objective, without any linearisation: with θ̂ the answer to
all and θᵢ that to part i, Σᵢ [χ²ᵢ(θ̂) − χ²ᵢ(θᵢ)]/noiseᵢ is χ² distributed with Σᵢ rᵢ − r degrees of freedom, the
noise that the residuals of each part ask for. r is how many combinations of the parameters that are not at a bound
the residuals depend on, the rank of their Jacobian: p where a part holds every parameter, less where it does not. The
error is widened by the square root of their ratio, S, where that is above 1; the systematic error of the kind is
σ √(S² − 1). A part that does not hold a parameter adds nothing, wherever its own answer runs to.

Structure that the model leaves in the data makes the answer scatter by more than its standard error σ. How much, is
told by leaving out one stretch along the ridge after the other (`scatter`); what that exceeds σ by, in quadrature, is
one more kind. It has no variant.

Parts of the data and structure ask the same thing in several ways, by how much the misfit of the model widens σ: of
them the largest counts, for their sum would count one misfit several times. The total systematic error is the square
root of the sum of its square and the squares over the choices.

Source: scale factor S: Particle Data Group, Review of Particle Physics, Introduction, section 5.2.2;
likelihood ratio: Wilks, Ann. Math. Statist. 9, 60 (1938); rank: Chow, Econometrica 28, 591 (1960), whose parts may
be too small to hold all parameters; mark of 10: Kass and Raftery, J. Am. Stat. Assoc. 90, 773
(1995).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.peaks import is_peaks
from insiren.data.spectrum import Measured
from insiren.errors import FitError, InsirenError
from insiren.fit.automatic import as_fitted
from insiren.fit.compare import STRONG
from insiren.fit.evidence import surprise
from insiren.fit.objective import nuisance
from insiren.fit.result import Fit
from insiren.fit.sandwich import scatter
from insiren.fit.settle import Settled, settle
from insiren.fit.uncertainty import at_bound, rank
from insiren.fit.variants import BACKGROUND, Variant, all_variants

RULE = (
    "Choices: half the spread of the answer and its variants, kind by kind, without backgrounds that the data refute. "
    "Parts of the data: σ √(S² − 1), S² the gain in χ²/noise when the parts are fitted apart, over its degrees of "
    "freedom. Structure that is left: by how much the answer scatters beyond σ as one stretch of Q after the other is "
    "left out. Parts and structure see one misfit in several ways, and none that shifts all data alike: the largest of "
    "them, and the choices, add in quadrature."
)
STRUCTURE = "structure left in the data"
_TOLD = 0.01  # of a standard error: smaller shifts are zero

Progress = Callable[[str, float], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One variant of a fit.

    Attributes:
        kind: of the choice, such as "weights".
        what: was done, for people.
        shift: of each free parameter by name, in its unit.
        sigmas: the same in statistical errors of the answer; None where there is none.
        values: of each free parameter by name.
        gain: by how much χ²/noise the variant's own minimum is better than the answer, on the variant's terms.
        freedom: combinations of the parameters, not at a bound, that its residuals depend on.
        part: whether the variant is a part of the data.
        counts: whether the variant enters the total.
    """

    kind: str
    what: str
    shift: dict[str, float]
    sigmas: dict[str, float | None]
    values: dict[str, float]
    gain: float
    freedom: int
    part: bool
    counts: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Systematics:
    """The table of variants, and what follows from it.

    Attributes:
        rows: the variants.
        by_kind: systematic error of each parameter, in its unit, by kind and name.
        total: systematic error of each parameter by name.
        skipped: variants that could not be made, and why.
    """

    rows: tuple[Row, ...]
    by_kind: dict[str, dict[str, float]]
    total: dict[str, float]
    skipped: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON would hold it."""
        return {
            "rule": RULE,
            "total": self.total,
            "by_kind": self.by_kind,
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "skipped": list(self.skipped),
        }


def systematics(
    fit: Fit,
    data: Sequence[sc.DataArray] | sc.DataArray,
    progress: Progress = lambda stage, fraction: None,
) -> Fit:
    """The fit with its table of systematic shifts, as `fit.systematics`.

    Args:
        fit: an answer by likelihood.
        data: the data sets that it was fitted to, in their order; lists of peaks among them stay as they are.
        progress: told the stage and the fraction of it that is done.

    Raises:
        FitError: the objective is Pearson's, which has no σ, or the data are others than the fit's.
    """
    if fit.objective == "pearson":
        raise FitError("The Pearson objective has no σ to compare shifts with; fit with --objective gaussian.")
    if not fit.maps:
        raise FitError("The choices that are varied are those of spectra, and this fit has lists of peaks alone.")
    sets = [one for one in ([data] if isinstance(data, sc.DataArray) else data) if not is_peaks(one)]
    sets = as_fitted(sets, [m.measured.name for m in fit.maps])
    if [one.name for one in sets] != [m.measured.name for m in fit.maps]:
        raise FitError(
            f"The fit is of {', '.join(m.measured.name for m in fit.maps)}, the data are "
            f"{', '.join(one.name for one in sets)}; give the same data sets in the same order."
        )
    variants, skipped = all_variants(fit, sets)
    rows, J = [], fit.problem.jacobian(fit.theta)[1]
    for n, variant in enumerate(variants):
        progress("systematics", n / len(variants))
        try:
            rows.append(_row(fit, variant, J))
        except InsirenError as error:
            skipped.append(f"{variant.what}: {error}")
    progress("systematics", 1.0)
    whole = rank(J, np.array(fit.at_bound))
    kinds = dict.fromkeys(r.kind for r in rows)
    by_kind = {kind: _of_kind(fit, [r for r in rows if r.kind == kind], whole) for kind in kinds}
    misfit = {row.kind for row in rows if row.part} | {STRUCTURE}
    if fit.problem.widen == 1.0:  # robust weights already ask how the residuals are spread
        try:
            by_kind[STRUCTURE] = of_structure(fit)
        except InsirenError as error:
            skipped.append(f"{STRUCTURE}: {error}")
    total = {name: _total({kind: one[name] for kind, one in by_kind.items()}, misfit) for name in fit.names}
    return dataclasses.replace(fit, systematics=Systematics(tuple(rows), by_kind, total, tuple(skipped)))


def with_structure(fit: Fit) -> Fit:
    """The fit with the one systematic error that takes no refit: that of the structure it leaves in the data."""
    if fit.objective == "pearson" or fit.problem.widen != 1.0:
        return fit
    none = dict.fromkeys(fit.names, 0.0)
    try:
        found = of_structure(fit)
        table = Systematics((), {STRUCTURE: found}, found, ())
    except InsirenError as error:
        table = Systematics((), {STRUCTURE: none}, none, (f"{STRUCTURE}: {error}",))
    return dataclasses.replace(fit, systematics=table)


def _total(by_kind: dict[str, float], misfit: set[str]) -> float:
    """The choices and the largest of the kinds that see the misfit of the model, in quadrature."""
    choices = [x for kind, x in by_kind.items() if kind not in misfit]
    return float(np.linalg.norm([*choices, max((x for kind, x in by_kind.items() if kind in misfit), default=0.0)]))


def of_structure(fit: Fit) -> dict[str, float]:
    """By how much the scatter of each parameter exceeds its standard error, in quadrature; 0 where it has none.

    Raises:
        FitError: the answer is no minimum, or at the edge of the stable phase.
    """
    moving = np.isfinite(np.diag(fit.covariance))
    if not moving.any():
        return dict.fromkeys(fit.names, 0.0)
    excess = np.diag(scatter(fit.problem, fit.theta, moving) - fit.covariance)
    known = [fit.errors[name] is not None for name in fit.names]
    return {
        n: float(np.sqrt(max(0.0, e))) if k and np.isfinite(e) else 0.0
        for n, e, k in zip(fit.names, excess, known, strict=True)
    }


def _row(fit: Fit, variant: Variant, J: np.ndarray) -> Row:
    """One variant, settled from the answer, where all residuals have the derivatives J (d, p)."""
    problem = variant.problem
    start = np.array([fit.values[name] for name in problem.choice.names])
    at_answer, found = _settled(problem, start, variant, fit.noise)
    values = dict(zip(problem.choice.names, found.theta.tolist(), strict=True))
    shift = {name: values[name] - fit.values[name] for name in fit.names}
    errors = {name: fit.errors[name] for name in fit.names}
    edge, noise = at_bound(problem.choice, found.theta), fit.noise
    moving = rank(found.jacobian, edge, J if variant.part else None)
    if variant.part:
        noise = max(1.0, found.objective / max(1.0, _observed(problem, variant.maps) - moving))
    refuted = variant.kind == BACKGROUND and _refuted(fit, found, variant.maps)
    return Row(
        kind=variant.kind,
        what=variant.what + refuted * " (refuted by the data; not in the total)",
        shift=shift,
        sigmas={name: shift[name] / e if (e := errors[name]) else None for name in fit.names},
        values=values,
        gain=max(0.0, at_answer - found.objective) / noise,
        freedom=moving,
        part=variant.part,
        counts=not refuted,
    )


def _observed(problem: Any, maps: Sequence[Measured]) -> float:
    """Pixels and peaks of a part, less what scales and backgrounds take of them."""
    held = [nuisance(t) for t, m in zip(problem.data, maps, strict=True) if m.used.any()]
    return sum(int(m.used.sum()) for m in maps) + problem.n_peaks - sum(held)


def _refuted(fit: Fit, found: Settled, maps: list[Measured]) -> bool:
    """Whether the data speak far less for a variant's background than for the answer's."""
    taken = sum(nuisance(t) for t in found.problem.data)
    noise = min(fit.noise, max(1.0, found.objective / (fit.n_data - len(found.theta) - taken)))
    other, own = (
        surprise(problem, theta, maps, noise)
        for problem, theta in ((found.problem, found.theta), (fit.problem, fit.theta))
    )
    return other - own > STRONG


def _settled(problem: Any, start: np.ndarray, variant: Variant, noise: float) -> tuple[float, Settled]:
    """The objective at the start, on the terms of the minimum, and the minimum."""
    if not np.isfinite(problem.objective(start)):
        raise FitError("there is no spectrum at the answer.")
    found = settle(problem, start, variant.maps, noise=noise)
    terms = dataclasses.replace(problem, data=found.problem.data) if variant.maps else problem
    return terms.objective(start), found


def _of_kind(fit: Fit, rows: list[Row], whole: int) -> dict[str, float]:
    """The systematic error of each parameter from the variants of one kind; `whole` is the rank of all data."""
    counted = [row for row in rows if row.counts]
    if not counted:
        return dict.fromkeys(fit.names, 0.0)
    if counted[0].part:
        freedom = sum(row.freedom for row in counted) - whole
        S2 = sum(row.gain for row in counted) / freedom if freedom > 0 else 0.0
        return {name: (fit.errors[name] or 0.0) * float(np.sqrt(max(0.0, S2 - 1))) for name in fit.names}
    spread = {name: np.ptp([0.0, *(row.shift[name] for row in counted)]) / 2 for name in fit.names}
    return {name: float(x) if x > _TOLD * (fit.errors[name] or 0.0) else 0.0 for name, x in spread.items()}
