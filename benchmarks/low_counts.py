"""How few neutrons suffice: the measurement of La2NiO4 thinned and fitted, beside the Cramér–Rao bound.

    python benchmarks/low_counts.py FOLDER [SEEDS] [FIGURE.png] [PAPER_SEEDS]

FOLDER holds both measured paths. Each seed thins them to so many neutrons as the published study did (3 × 3 blur,
rejection sampling, in proportion to intensity over both paths) and, as an experiment would, by (I/σ)² of each
pixel, a fifth as often. J, Jp and q_fwhm are fitted jointly to the counts by the defaults of `insiren.fit`, with the
search of the box that `insiren live` has: the spectra of the box, which no counts change, are worked out once for all
thinnings. The first few are fitted by `insiren.fit` itself too.

Beside it the published procedure, through the bundled surrogate, where PAPER_SEEDS are asked for.

The bound is the inverse Fisher information of the counts that the answer at all neutrons expects in every pixel, scale
and background of every energy unknown. Beside it stands the inverse curvature of the likelihood of the counts that the
maps hold (observed information), which is the same where the model is right. Scatter is the root mean square of the
distance from the mean. Shares are those near the answer at all neutrons, which is two: that of the same likelihood to
the counts themselves that a thinning draws from, and that of `insiren.fit` to the measured maps, whose errors weigh the
pixels otherwise. The measured maps hold more than the model says, so that the scatter exceeds the bound of a model that
is right; what is to be expected then is printed too.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipp as sc
from matplotlib.figure import Figure

import insiren as ins
from insiren.data.thinning import blurred, neutrons_in, recounted, thinned
from insiren.fit.counting import likeliest
from insiren.fit.marquardt import descend
from insiren.fit.pose import Posed, Wanted
from insiren.fit.reweight import FINELY
from insiren.fit.treatment import Treatment
from insiren.live.box import Box, box_of, candidates
from insiren.live.update import Asked, Memory, misfit, searched

LEVELS = (1_635, 4_105, 8_167, 16_481)
NAMES = ("J", "Jp")
CHECKED = 8  # thinnings that `insiren.fit` fits too
AGREE = 0.3  # standard errors between two fits of one minimum
_STEP = 0.03  # standard errors: of a difference of gradients
CLOSE = (1.5, 0.5)  # meV from the answer at all neutrons: the share of answers within is counted

Thin = Callable[[list[sc.DataArray], int, int], list[sc.DataArray]]
Answers = dict[int, list[np.ndarray]]  # by neutrons


def as_published(data: list[sc.DataArray], neutrons: int, seed: int) -> list[sc.DataArray]:
    """Both paths thinned in proportion to their intensity."""
    total = np.array([np.nansum(np.maximum(blurred(one), 0)) for one in data])
    share = np.random.default_rng(seed).multinomial(neutrons, total / total.sum())
    return [thinned(one, int(n), 2 * seed + k) for k, (one, n) in enumerate(zip(data, share, strict=True))]


def as_measured(data: list[sc.DataArray], neutrons: int, seed: int) -> list[sc.DataArray]:
    """Both paths measured for a share of the time."""
    share = neutrons / sum(neutrons_in(one) for one in data)
    return [recounted(one, share, 2 * seed + k) for k, one in enumerate(data)]


class Expected(NamedTuple):
    """What to expect of J and Jp at so many neutrons: standard errors, and the answer.

    Attributes:
        bound: the least that an unbiased estimate can have where the model is right (Cramér and Rao).
        curvature: the same by the observed information.
        scatter: of the greatest likelihood of the model, whatever the counts come from.
        answer: what the greatest likelihood tends to with more and more neutrons.
    """

    bound: np.ndarray
    curvature: np.ndarray
    scatter: np.ndarray
    answer: np.ndarray


def expected(full: ins.Fit, few: list[sc.DataArray], data: list[sc.DataArray]) -> Expected:
    """What to expect of the fits of many such thinnings.

    With the score's derivative H and variance K under the counts that are expected, the scatter is √(H⁻¹ K H⁻¹). It is
    the bound where the model is right; structure that the model leaves in the data makes H the smaller of the two.

    Source: White, Econometrica 50, 1 (1982).
    """
    made = []
    for target, one, source in zip(full.problem.data, few, data, strict=True):
        mean = np.maximum(np.nan_to_num(blurred(source)), 0.0).ravel()
        used = ~one.masks["missing"].values.ravel() & (np.asarray(target.weight) > 0)
        norm = np.where(used, one.coords["norm"].values.ravel(), 0.0)
        made.append(target._replace(intensity=jnp.asarray(mean), exposure=jnp.asarray(norm)))
    problem = dataclasses.replace(full.problem, data=tuple(made), kind="poisson")
    theta = descend(problem, full.theta[None], FINELY).thetas[0]
    _, J = problem.jacobian(theta)
    step = np.diag(_STEP * np.sqrt(np.diag(np.linalg.inv(J.T @ J))))
    slope = [(problem.normal((theta + d)[None]).gradient - problem.normal((theta - d)[None]).gradient)[0] for d in step]
    H = np.array(slope) / (2 * np.diag(step))[:, None]
    share = []  # of the variance that the model gives a pixel, what it has
    for S, t in zip(problem.spectra(theta), made, strict=True):
        norm = np.asarray(t.exposure)
        has = np.where(norm > 0, np.asarray(t.intensity) / np.where(norm > 0, norm, 1.0), 0.0)
        share.append(np.asarray(likeliest(S, t.counts).weight) * has)
    K = J.T @ (np.concatenate(share)[:, None] * J)
    inverse, at = np.linalg.inv((H + H.T) / 2), [full.names.index(name) for name in NAMES]
    errors = (np.sqrt(np.diag(C))[at] for C in (np.linalg.inv(J.T @ J), inverse, inverse @ K @ inverse))
    return Expected(*errors, answer=np.asarray(theta)[at])


def answer(forward: ins.Forward, data: list[sc.DataArray], **wishes: object) -> np.ndarray:
    """J and Jp of one fit."""
    found = ins.fit(forward, data, **wishes)  # type: ignore[arg-type]
    return np.array([found.values[name] for name in NAMES])


class Searched:
    """Fits of many thinnings of the same maps, each from a search of the whole box."""

    def __init__(self, simulator: ins.Forward):
        self.asked = Asked(simulator, Treatment(None, "per-energy", "data", False, None, None), Wanted())
        self.box: Box | None = None
        self.memory: Memory | None = None
        self.checked: list[bool] = []

    def __call__(self, data: list[sc.DataArray]) -> np.ndarray:
        """J and Jp of one fit."""

        def likely(made: Posed) -> list[np.ndarray]:
            self.box = box_of(made.problem, self.box, 0, _quiet)
            return candidates(made, self.box)

        found = searched(self.asked, data, sum(map(neutrons_in, data)), likely, self.memory, _quiet)
        self.memory = found.memory
        values = np.array([found.fit.values[name] for name in NAMES])
        if len(self.checked) < CHECKED:
            beside = ins.fit(self.asked.forward, data)
            off = [abs(beside.values[n] - v) / (beside.errors[n] or np.inf) for n, v in zip(NAMES, values, strict=True)]
            theirs = misfit(beside.problem, beside.theta, [m.measured for m in beside.maps])
            self.checked.append(max(off) < AGREE)
            print(
                f"searched {values.round(3).tolist()}, deviance {found.fit.objective_value:.2f}; fitted "
                f"{[round(beside.values[n], 3) for n in NAMES]}, {theirs:.2f}", flush=True,
            )  # fmt: skip
        return values


def _quiet(stage: str, fraction: float) -> None:
    """No word of progress."""


def said(word: str, neutrons: int, answers: list[np.ndarray], truth: np.ndarray, limit: Expected) -> str:
    """One line of the table."""
    mean, scatter = np.mean(answers, axis=0), np.std(answers, axis=0, ddof=1)
    near, measured = (np.mean(np.all(np.abs(answers - at) < CLOSE, axis=1)) for at in (limit.answer, truth))
    text = "; ".join(
        f"{name} bound {limit.bound[k]:.2f}, by curvature {limit.curvature[k]:.2f}, "
        f"expected {limit.answer[k]:.2f} ± {limit.scatter[k]:.2f}, mean {mean[k]:.2f}, scatter {scatter[k]:.2f} "
        f"({scatter[k] / limit.bound[k]:.2f} of the bound, {scatter[k] / limit.curvature[k]:.2f} of it by curvature)"
        for k, name in enumerate(NAMES)
    )
    return (
        f"{word} {neutrons:,} neutrons, {len(answers)} seeds: {text}; near {100 * near:.1f} %, "
        f"near the fit of the measured maps {100 * measured:.1f} %"
    )


def study(
    word: str, thin: Thin, data: list[sc.DataArray], full: ins.Fit, fitted: Callable[[list[sc.DataArray]], np.ndarray],
    seeds: int,
) -> tuple[Answers, dict[int, Expected]]:  # fmt: skip
    """The answers at every level, and the bounds; a table as it grows."""
    answers: Answers = {level: [] for level in LEVELS}
    limits = {level: expected(full, thin(data, level, 0), data) for level in LEVELS}
    truth = np.array([full.values[name] for name in NAMES])
    for seed in range(seeds):
        for level in LEVELS:
            answers[level].append(fitted(thin(data, level, seed)))
        if seed and (seed % 5 == 4 or seed == seeds - 1):
            print(*(said(word, n, answers[n], truth, limits[n]) for n in LEVELS), sep="\n", flush=True)
    return answers, limits


def drawn(path: Path, full: ins.Fit, rows: dict[str, tuple[Answers, dict[int, Expected]]]) -> None:
    """Answers against neutrons, one panel a parameter, with the bound about what they tend to."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    limits = next(iter(rows.values()))[1]
    for k, (name, axes) in enumerate(zip(NAMES, panels, strict=True)):
        levels, centre = np.array(LEVELS, float), np.array([limits[n].answer[k] for n in LEVELS])
        edge = np.array([limits[n].bound[k] for n in LEVELS])
        axes.fill_between(levels, centre - edge, centre + edge, alpha=0.3, color="tab:grey", label="Cramér–Rao bound")
        for n, (word, (answers, _)) in enumerate(rows.items()):
            x = np.concatenate([np.full(len(answers[m]), m * 1.06 ** (n - 1)) for m in LEVELS])
            y = np.concatenate([[one[k] for one in answers[m]] for m in LEVELS])
            axes.plot(x, y, ".", alpha=0.5, label=word)
        axes.axhline(full.values[name], color="k", lw=0.8, label="fit of the measured maps")
        axes.set(xscale="log", xlabel="neutrons", ylabel=f"{name} (meV)")
        axes.set_xticks(LEVELS, [f"{n:,}" for n in LEVELS])
        axes.minorticks_off()
    panels[0].legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    data = ins.read(sys.argv[1], errors="variance")
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    simulator = ins.exact(ins.load_model("la2nio4"))
    full = ins.fit(simulator, data)
    print("all neutrons:", ", ".join(f"{n} = {full.values[n]:.3f} ± {full.errors[n]:.3f}" for n in NAMES), flush=True)
    ours = Searched(simulator)
    rows = {"thinned as published": study("thinned as published", as_published, data, full, ours, seeds)}
    print(f"{sum(ours.checked)} of {len(ours.checked)} as insiren.fit has them")
    if few := seeds // 5:
        rows["share of the time"] = study("share of the time", as_measured, data, full, Searched(simulator), few)
    if len(sys.argv) > 4:
        from insiren.surrogate.store import bundled_path, load_surrogate

        learnt = load_surrogate(bundled_path("la2nio4.insiren") or "la2nio4.insiren")
        sharp = {"q_fwhm": next(p.min for p in learnt.parameters if p.name == "q_fwhm")}
        paper = lambda few: answer(learnt, few, preset="paper", fixed=sharp)  # noqa: E731
        rows["published procedure"] = study("published procedure", as_published, data, full, paper, int(sys.argv[4]))
    if len(sys.argv) > 3:
        drawn(Path(sys.argv[3]), full, rows)


if __name__ == "__main__":
    main()
