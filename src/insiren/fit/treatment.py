"""What happens to data sets before a fit: which pixels stay, their weights, and the background they get."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
import scipp as sc

from insiren.data.background import QUIET, Basis, lowrank_basis, savgol_background, smooth_basis, template_basis
from insiren.data.files import read
from insiren.data.scatter import errors_in_doubt
from insiren.data.spectrum import Measured, measured
from insiren.errors import FitError
from insiren.fit.choice import Choice
from insiren.fit.objective import Kind, Target, target
from insiren.fit.weights import Noise
from insiren.forward import POINT, Forward

AUTO = "auto"  # what the data ask for, see `automatic`
BACKGROUNDS = (
    AUTO,
    "per-energy",
    "smooth",
    "constant",
    "savgol",
    "savgol:FIRST:LAST",
    "none",
    "template:FILE",
    "lowrank",
)
TEMPLATE = "template:"
SAVGOL = "savgol"
_CLOSED = (
    AUTO,
    "per-energy",
    "smooth",
    "constant",
    "lowrank",
)  # eliminated, which Pearson's correlation does not allow
_SHARED = 4  # pixels of one energy, below which a background value for each takes more than a quarter of them


class Treatment(NamedTuple):
    """The wishes on how data sets are weighted and what background they get.

    Attributes:
        objective: None for Poisson where every data set holds counts, else Gaussian.
        background: one of `BACKGROUNDS`.
        weights: "data", "model" or "auto".
        robust: whether outliers count less.
        sigma_floor: see `measured`.
        sigma_max: see `measured`.
        template: spectra of which one was measured where each data set was, or None.
    """

    objective: Kind | None
    background: str
    weights: str
    robust: bool
    sigma_floor: float | None
    sigma_max: float | None
    template: Sequence[sc.DataArray] | None = None


def plain(wish: Treatment, maps: Sequence[Measured]) -> Treatment:
    """The wish with what is quick to search with in place of "auto".

    Where hardly two pixels have an energy in common, one background value for each would take all that they hold.
    """
    if wish.weights == AUTO:
        wish = wish._replace(weights="data")
    if wish.background != AUTO:
        return wish
    shared = [int(m.used.sum()) / max(1, len(np.unique(m.row[m.used]))) for m in maps]
    return wish._replace(background="per-energy" if min(shared) >= _SHARED else "smooth")


class Treated(NamedTuple):
    """Data sets ready for a fit.

    Attributes:
        kind: of the objective.
        maps: the data sets.
        targets: the same as the fit sees them.
        noises: how their variances come about.
        remarks: for the user.
    """

    kind: Kind
    maps: list[Measured]
    targets: tuple[Target, ...]
    noises: tuple[Noise, ...]
    remarks: tuple[str, ...]


def measured_sets(sets: Sequence[sc.DataArray], wish: Treatment) -> tuple[Kind, list[Measured]]:
    """The data sets and the objective that they allow.

    Raises:
        FitError: the wishes contradict each other or the data.
        DataError: a data set holds nothing usable.
    """
    if not sets:
        raise FitError("There is no data set to fit.")
    maps = [measured(one, wish.sigma_floor, wish.sigma_max) for one in sets]
    kind: Kind = wish.objective or ("poisson" if all(m.counts is not None for m in maps) else "gaussian")
    _check(kind, wish, maps)
    return kind, maps


def treated(
    sets: Sequence[sc.DataArray], kind: Kind, maps: list[Measured], forwards: Sequence[Forward], choice: Choice,
    wish: Treatment,
) -> Treated:  # fmt: skip
    """The data sets with weights and backgrounds, without pixels at which a Forward has no finite intensity."""
    maps, remarks = _without_divergent(forwards, choice, maps)
    remarks += _without_bins(forwards, maps)
    if kind == "gaussian":
        remarks += tuple(f"{one.name}: {doubt}" for one in sets if (doubt := errors_in_doubt(one)))
    if kind == "poisson" and not any(m.counts is not None and m.counts[m.used].sum() > 0 for m in maps):
        raise FitError("There is not one neutron in the pixels that can be fitted, so that they tell nothing.")
    targets, noises, quiet = aimed(sets, kind, maps, wish)
    return Treated(kind, maps, targets, noises, remarks + quiet)


def aimed(
    sets: Sequence[sc.DataArray], kind: Kind, maps: list[Measured], wish: Treatment
) -> tuple[tuple[Target, ...], tuple[Noise, ...], tuple[str, ...]]:
    """Data sets as the fit sees them with a background, how their variances come about, and remarks."""
    bases = [_basis(one, wish) for one in maps]
    # every measured pixel serves the estimate of a background, those with large errors too
    curves: list[np.ndarray | None] = [None] * len(maps)
    remarks: tuple[str, ...] = ()
    if (quiet := quiet_columns(wish.background)) is not None:
        curves = [savgol_background(measured(one, sigma_max=np.inf), quiet) for one in sets]
        remarks = tuple(_quiet_words(one, quiet) for one in maps)
    targets, noises = [], []
    for one, basis, curve in zip(maps, bases, curves, strict=True):
        made = target(one, wish.background, curve, basis)
        if kind == "poisson" and one.counts is not None and one.norm is not None:
            # the likelihood is that of the counts, whatever was made of them
            made = made._replace(intensity=jnp.asarray(np.where(one.used, one.counts / one.norm, 0.0)))
            if basis is None:  # a penalised background may be negative, and is fitted by iterated weights
                made = made._replace(exposure=jnp.asarray(np.where(one.used, one.norm, 0.0)))
        targets.append(made)
        noises.append(Noise(one, wish.weights == "model", wish.robust, None if basis is None else basis.sigma))
    return tuple(targets), tuple(noises), remarks


def quiet_columns(background: str) -> slice | None:
    """The Q columns of an image from which a background "savgol:FIRST:LAST" is taken, the paper's without numbers.

    Raises:
        FitError: these are no two numbers, the first below the last.
    """
    kind, *ends = background.split(":")
    if kind != SAVGOL:
        return None
    if not ends:
        return QUIET
    if len(ends) != 2 or not all(end.isdecimal() for end in ends) or int(ends[0]) > int(ends[1]):
        raise FitError(
            f"--background {background}: give the first and the last of the Q columns without signal, counted from 0, "
            f"as in savgol:{QUIET.start}:{QUIET.stop - 1}."
        )
    return slice(int(ends[0]), int(ends[1]) + 1)


def _quiet_words(one: Measured, quiet: slice) -> str:
    """From which columns the background is taken, with their places."""
    place = np.asarray(one.points.hkl if one.points.Q_abs is None else np.asarray(one.points.Q_abs)[:, None])[quiet]
    ends = " to ".join(" ".join(f"{x:.3g}" for x in place[n]) for n in (0, -1))
    return (
        f"{one.name}: the background is the mean of Q columns {quiet.start} to {quiet.start + len(place) - 1} ({ends} "
        f"{'r.l.u.' if one.points.Q_abs is None else '1/Å'}), where no signal should be; "
        "savgol:FIRST:LAST takes others."
    )


def _basis(one: Measured, wish: Treatment) -> Basis | None:
    if wish.background == "smooth":
        return smooth_basis(one)
    if wish.background == "lowrank":
        return lowrank_basis(one)
    if wish.background.startswith(TEMPLATE):
        return template_basis(one, wish.template or read(wish.background.removeprefix(TEMPLATE)))
    return None


def _check(kind: str, wish: Treatment, maps: list[Measured]) -> None:
    background = wish.background
    if kind not in get_args(Kind):
        raise FitError(f"There is no objective {kind!r}; choose one of {', '.join(get_args(Kind))}.")
    savgol = quiet_columns(background) is not None
    if background not in BACKGROUNDS and not background.startswith(TEMPLATE) and not savgol:
        raise FitError(f"There is no background {background!r}; choose one of {', '.join(BACKGROUNDS)}.")
    if wish.weights not in (AUTO, "data", "model"):
        raise FitError(f"There are no weights {wish.weights!r}; choose auto, data or model.")
    if kind == "pearson" and (background in _CLOSED or background.startswith(TEMPLATE)):
        raise FitError("The Pearson objective cannot eliminate a background; use --background savgol or none.")
    if kind == "pearson" and (wish.robust or wish.weights == "model"):
        raise FitError("The Pearson objective has no σ, so neither --robust nor --weights model means anything in it.")
    if kind == "poisson":
        if lacking := [m.name for m in maps if m.counts is None]:
            raise FitError(f"{', '.join(lacking)} hold no neutron counts; use --objective gaussian.")
        if savgol:
            raise FitError("A background cannot be subtracted from counts; use --background per-energy.")
        if wish.robust:
            raise FitError(
                "The likelihood of counts has no outliers to discount; with --robust use --objective gaussian."
            )


def _without_divergent(
    forwards: Sequence[Forward], choice: Choice, maps: list[Measured]
) -> tuple[list[Measured], tuple[str, ...]]:
    """The data sets without wavevectors at which the intensity diverges, and the remark on it."""
    theta = np.array([p.value for p in choice.free])
    kept, dropped, columns = [], 0, 0
    for n, (forward, one) in enumerate(zip(forwards, maps, strict=True)):
        part = choice.part(n, forward)
        dark = np.asarray(forward.divergent(part.names.values(theta[part.index], part.constant), one.points))
        pixels = dark[np.asarray(one.points.index)] & one.used
        used = one.used & ~pixels
        if not used.any():
            raise FitError(
                f"The intensity diverges at every wavevector of {one.name}: give a Q broadening (--fix q_fwhm=0.05, "
                "say, or --free q_fwhm)."
            )
        masked = one.n_masked + int(pixels.sum())
        kept.append(dataclasses.replace(one, used=used, n_masked=masked, sigma=np.where(used, one.sigma, 1.0)))
        dropped, columns = dropped + int(pixels.sum()), columns + int(dark.sum())
    if not dropped:
        return kept, ()
    remark = (
        f"{columns} wavevectors ({dropped} pixels) lie on a Goldstone point, where the intensity without Q broadening "
        "diverges; they are left out. With q_fwhm above 0 they would count."
    )
    return kept, (remark,)


def _without_bins(forwards: Sequence[Forward], maps: list[Measured]) -> tuple[str, ...]:
    """The remark on bins that a Forward does not average over."""
    pairs = zip(forwards, maps, strict=True)
    binned = [one.name for forward, one in pairs if one.points.bins != POINT and not forward.averages]
    if not binned:
        return ()
    return (
        f"The bins of {', '.join(binned)} are not averaged over: this Forward gives the spectrum at their centres. The "
        "exact simulator averages.",
    )
