"""May we stop? A pure function of the answers so far, and the reasons in words.

Counting may end when every target is met and the answer can be believed: it has not moved by more than its error
allows while the neutrons grew, one minimum holds the posterior, and the model describes the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from insiren.live.history import Answer, z_of

CALM = 2.0  # σ of tension with the earlier data that is still agreement
STEADY = 1.3  # factor in neutrons over which the answer must have been calm
FEWEST = 2  # answers that must have been calm, since one may be so by chance
ONE_MODE = 0.95  # share of the posterior that the leading mode must hold
MISFIT = 0.25  # of χ² per degree of freedom: a misfit within it widens the errors by 12 % at most
ODDS = 20.0  # that decide a question
_SURE = 20.0  # log odds, beyond which only their power of ten is told
SURPRISE = 3.0  # σ of χ²: a misfit within it is noise


class Quality(NamedTuple):
    """How well the model describes the data.

    Attributes:
        reduced: Pearson's χ² per degree of freedom, Σ (n − μ)²/μ for counts.
        sigma: its standard deviation if the model were right; with few counts it is more than √(2/ν).
    """

    reduced: float
    sigma: float

    @property
    def fine(self) -> bool:
        """Whether the distance from 1 is noise, or small."""
        return abs(self.reduced - 1) <= max(MISFIT, SURPRISE * self.sigma)


class Hypothesis(NamedTuple):
    """That a parameter has one value, against that it lies anywhere within its bounds.

    Attributes:
        value: in the parameter's unit.
        low: its lower bound.
        high: its upper bound.
        odds: for or against it, by which the question is decided.
    """

    value: float
    low: float
    high: float
    odds: float


class Condition(NamedTuple):
    """One condition: its name, whether it is met, and the number that says so."""

    name: str
    met: bool
    text: str


class Advice(NamedTuple):
    """What the conditions amount to."""

    conditions: tuple[Condition, ...]

    @property
    def advised(self) -> bool:
        """Whether to stop; never without a target."""
        return any(c.name.startswith("target") for c in self.conditions) and all(c.met for c in self.conditions)

    @property
    def missing(self) -> list[str]:
        """In words, what is not met."""
        if not any(c.name.startswith("target") for c in self.conditions):
            return ["no target: name one with --target NAME=ERROR or --decide NAME=VALUE"]
        return [f"{c.name.removeprefix('target ')}: {c.text}" for c in self.conditions if not c.met]

    def to_dict(self) -> dict[str, Any]:
        """The advice as JSON holds it."""
        return {
            "advised": self.advised,
            "missing": self.missing,
            "conditions": [c._asdict() for c in self.conditions],
        }


def advise(
    history: Sequence[Answer], targets: Mapping[str, float], units: Mapping[str, str], confidence: float,
    share: float | None, quality: Quality | None, hypotheses: Mapping[str, Hypothesis] | None = None,
) -> Advice:  # fmt: skip
    """Whether to stop.

    Args:
        history: answers, the present one last.
        targets: wanted half-widths by name, in the parameters' units.
        units: of the parameters by name.
        confidence: of the intervals whose half-width is meant.
        share: of the posterior in the leading mode, or None if unknown.
        quality: of the description, or None for an objective without χ².
        hypotheses: that are to be decided, by name of the parameter.
    """
    z = z_of(confidence)
    made = [_target(name, target, history[-1].errors.get(name), units.get(name, ""), z) for name, target in
            targets.items()]  # fmt: skip
    made += [_decided(name, one, history[-1]) for name, one in (hypotheses or {}).items()]
    made += [_steady(history), _one_mode(share), _described(quality)]
    return Advice(tuple(made))


def _target(name: str, target: float, error: float | None, unit: str, z: float) -> Condition:
    unit = f" {unit}" if unit else ""
    if error is None:
        return Condition(
            f"target {name}", False, f"no error yet, {target:g}{unit} wanted (at a bound or not determined)"
        )
    half = z * error
    sign = "≤" if half <= target else ">"
    return Condition(f"target {name}", half <= target, f"error {half:.2g} {sign} {target:g}{unit}")


def _decided(name: str, asked: Hypothesis, answer: Answer) -> Condition:
    """Whether the odds for or against a value suffice.

    Their ratio of evidences is the density of the posterior at the value, a Gaussian that ends at the bounds, over that
    of the prior, which is even between them.

    Source: Dickey, Ann. Math. Statist. 42, 204 (1971).
    """
    error, named = answer.errors.get(name), f"target {name} = {asked.value:g}"
    if error is None:
        return Condition(named, False, "no error yet, so no odds (at a bound or not determined)")
    if not asked.low <= asked.value <= asked.high:
        return Condition(named, False, _outside(name, asked))
    best = dict(zip(answer.names, answer.theta.tolist(), strict=True))[name]
    inside = np.diff(stats.norm.cdf([asked.low, asked.high], best, error))[0]
    ratio = float(stats.norm.logpdf(asked.value, best, error) + np.log((asked.high - asked.low) / inside))
    met = abs(ratio) >= np.log(asked.odds)
    word, sign = "for" if ratio > 0 else "against", "≥" if met else "<"
    shown = f"{np.exp(abs(ratio)):.3g}" if abs(ratio) < _SURE else f"10^{abs(ratio) / np.log(10):.0f}"
    return Condition(named, bool(met), f"odds {shown} {word} it {sign} {asked.odds:g}")


def _outside(name: str, asked: Hypothesis) -> str:
    return (
        f"{asked.value:g} lies outside the bounds {asked.low:g} … {asked.high:g}, where no answer is looked for, so "
        f"that it has no odds; widen them with --bound {name}=LO:HI"
    )


def _steady(history: Sequence[Answer]) -> Condition:
    last = history[-1].neutrons
    recent = [one for one in history if one.neutrons > last / STEADY]
    name = "steady answer"
    if len(recent) == len(history):
        return Condition(name, False, f"no answer yet at {STEADY:g} times fewer neutrons to compare with")
    recent = recent if len(recent) >= FEWEST else history[-FEWEST:]
    known = [one.tension for one in recent if one.tension is not None]
    if len(known) < FEWEST or history[-1].tension is None:
        return Condition(
            name, False,
            f"no {FEWEST} answers yet with another at half the neutrons that is less certain, to compare with",
        )  # fmt: skip
    worst = max(known)
    met = worst <= CALM
    return Condition(name, met, f"moved by {worst:.1f} σ {'≤' if met else '>'} {CALM:g} σ against half the neutrons")


def _one_mode(share: float | None) -> Condition:
    if share is None:
        return Condition("one minimum", False, "unknown whether another minimum is as good")
    met = share >= ONE_MODE
    return Condition(
        "one minimum", met, f"the best holds {100 * share:.3g} % {'≥' if met else '<'} {100 * ONE_MODE:g} %"
    )


def _described(quality: Quality | None) -> Condition:
    if quality is None:
        return Condition("description", False, "this objective has no χ² that could say whether the model fits")
    text = f"χ² per degree of freedom {quality.reduced:.3g} ± {quality.sigma:.1g}"
    return Condition("description", quality.fine, text if quality.fine else f"{text}, the model does not fit")
