"""Whether the answer of a search is to be believed: refused where the data show no magnon, and what is in doubt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from insiren.errors import FitError
from insiren.fit.choice import Choice
from insiren.fit.result import Fit
from insiren.fit.search import FEW, Found

Answer = TypeVar("Answer", bound=Fit)

_NONE = 3.0  # σ beyond chance: less is no signal
_CLEAR = 5.0  # from here on nothing is said
_BETTER = 25.0  # of χ² in units of the noise, 5 σ: what no chance makes


def judged(answer: Answer, found: Found, passed: Sequence[tuple[np.ndarray, float]], best: float) -> Answer:
    """The answer with remarks on what the search leaves in doubt.

    Args:
        answer: on all pixels.
        found: what the search found.
        passed: minima that are unstable somewhere, and the objective there.
        best: the objective that they are compared with, at the answer.

    Raises:
        FitError: the answer is no better than no magnon at all, or chance alone finds as good a one, or the box is too
            wide to be searched.
    """
    facts = {
        "points": found.points,
        "agree": found.same,
        "expected": found.expected if np.isfinite(found.expected) else None,
    }
    answer = dataclasses.replace(answer, search=facts)
    remarks = [*_passed(answer, passed, best), *_apart(answer, found), *_missed(answer, found)]
    if answer.signal is not None:
        remarks = [*_faint(answer), *remarks]
    return dataclasses.replace(answer, warnings=(*answer.warnings, *remarks))


def _faint(answer: Fit) -> list[str]:
    signal, what = answer.signal, "deviance" if answer.objective == "poisson" else "χ²"
    assert signal is not None
    if signal.beyond_chance >= _CLEAR:
        return []
    said = (
        f"the best answer, {told(answer.problem.choice, answer.theta)}, lowers the {what} by {signal.drop:.3g} "
        f"({signal.sigma:.1f} σ) against no magnon at all, and chance finds as much at one of the {signal.places:.2g} "
        "places of this box"
    )
    bound = f"--bound {answer.names[0]}=LO:HI"
    if signal.beyond_chance < _NONE and not answer.problem.n_peaks:
        raise FitError(
            f"The data show no magnon that this model can explain in this box: {said}. Narrow the bounds to what is "
            f"possible ({bound}), or check the model, its field and structure, and the energies that were measured."
        )
    return [f"The signal is hardly more than chance: {said} with {signal.beyond_chance:.1f} σ to spare. Count longer, "
            f"or narrow the bounds ({bound})."]  # fmt: skip


def _passed(answer: Fit, passed: Sequence[tuple[np.ndarray, float]], best: float) -> list[str]:
    better = [(theta, value) for theta, value in passed if value < best - _BETTER * answer.noise]
    if not better:
        return []
    theta, value = min(better, key=lambda one: one[1])
    return [
        f"{told(answer.problem.choice, theta)} describes the data better than this answer (objective lower by "
        f"{best - value:.4g}), but the structure is unstable there: it may not be that of this magnet. Relax it with "
        "insiren models MODEL --minimise."
    ]


def _apart(answer: Fit, found: Found) -> list[str]:
    if found.same or not np.isfinite(found.pair).any():
        return []
    choice = answer.problem.choice
    ends = [
        f"{told(choice, theta)} (objective {cost:.5g} on the pixels of the search)"
        for theta, cost in zip(found.pair, found.costs, strict=True)
        if np.isfinite(cost)
    ]
    said = " and in ".join(ends) if len(ends) == 2 else f"{ends[0]}, and one of them found nothing"
    return [
        f"Two independent searches of the box end in {said}, so that a better answer may have been missed. Narrow the "
        f"bounds (--bound {choice.names[0]}=LO:HI), and repeat with another --seed."
    ]


def _missed(answer: Fit, found: Found) -> list[str]:
    if found.covered:
        return []
    said = (
        f"of the {found.points:,} points that were looked at only {found.expected:.2g} are to be expected in a valley "
        f"as narrow as that of the best answer, {told(answer.problem.choice, answer.theta)}, so that a better one may "
        "have been missed. Narrow the bounds with --bound NAME=LO:HI"
    )
    if found.expected < FEW:
        raise FitError(f"The box is too wide to be searched: {said}.")
    return [f"The box is wide: {said}, or repeat with another --seed."]


def told(choice: Choice, theta: np.ndarray) -> str:
    """Values of the free parameters in words."""
    return ", ".join(
        f"{p.name} = {value:.4g}" + (f" {p.unit}" if p.unit else "")
        for p, value in zip(choice.free, theta, strict=True)
    )
