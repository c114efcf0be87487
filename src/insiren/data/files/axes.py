"""The axes of a histogram, and which wavevectors and energies its cells have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict

import numpy as np

from insiren.data.files.hints import EXAMPLES, chosen, how
from insiren.errors import DataError
from insiren.forward import Bins

SAME = 1e-4  # relative; edges kept in single precision differ by less
Vector = Sequence[float] | np.ndarray
Kind = Literal["hkl", "Q_abs", "energy"]


class Axis(NamedTuple):
    """One axis of a histogram.

    Attributes:
        label: as the file writes it.
        kind: what it measures.
        centres: of its bins; meV, 1/Å, or multiples of `direction`.
        widths: full widths of its bins in the same unit, None where only centres are known.
        direction: r.l.u. of one unit where `kind` is "hkl", shape (3,).
    """

    label: str
    kind: Kind
    centres: np.ndarray
    widths: np.ndarray | None
    direction: np.ndarray | None = None

    def part(self, low: int, high: int) -> Axis:
        """The axis of the bins from one to before another."""
        widths = None if self.widths is None else self.widths[low:high]
        return self._replace(centres=self.centres[low:high], widths=widths)

    @property
    def width(self) -> float:
        """Width of the bins, 0 where it is not known or not the same for all."""
        if self.widths is None or not len(self.widths) or np.ptp(self.widths) > SAME * np.max(self.widths):
            return 0.0
        return float(np.mean(self.widths))


def axis(label: str, kind: Kind, values: np.ndarray, n: int, what: str, direction: np.ndarray | None = None) -> Axis:
    """An axis from the edges or centres of its bins.

    Args:
        label: as the file writes it.
        kind: what it measures.
        values: n + 1 edges or n centres.
        n: number of bins along it.
        what: the file and the axis, for errors.
        direction: r.l.u. of one unit, shape (3,), for a direction in Q.

    Raises:
        DataError: the values are not finite, not monotonic or of another number.
    """
    values = np.asarray(values, float).ravel()
    if n < 1:
        raise DataError(f"{what} has no bins, so that there is nothing to read.")
    if len(values) not in (n, n + 1):
        raise DataError(f"{what} has {len(values)} values where {n} bins need {n + 1} edges or {n} centres.")
    finite = bool(np.isfinite(values).all())
    steps = np.diff(values) if finite else values
    if not finite or not (np.all(steps > 0) or np.all(steps < 0)):
        raise DataError(f"{what} does not rise or fall through finite numbers, so that its bins are unknown.")
    if len(values) == n:
        return Axis(label, kind, values, None, direction)
    return Axis(label, kind, values[:-1] + steps / 2, np.abs(steps), direction)


def resized(a: Axis, bins: str | None) -> Axis:
    """The axis with bins as the user wants them.

    Args:
        a: as the file has it.
        bins: "averaged": all as wide as they are in the mean, or as their centres are apart; "points": of no
            width; None: as they are.

    Raises:
        DataError: it is anything else.
    """
    if bins is None:
        return a
    if chosen("bins", bins) == "points":
        return a._replace(widths=None)
    widths = np.abs(np.diff(a.centres)) if a.widths is None else a.widths
    return a._replace(widths=np.full(len(a.centres), np.mean(widths)) if len(widths) else None)


def said_of_bins(a: Axis, bins: str | None) -> list[str]:
    """What is taken for granted about the bins of an axis as the file has it, with the option that changes it."""
    mean = resized(a, "averaged").width
    if not mean:  # one centre, and no edges
        return []
    if bins is None and a.width and len(a.centres) > 1:
        return []
    wide = bool(resized(a, bins).width)
    counts = f"counts as {mean:.6g} wide" if wide else "is taken as a point"
    change = f"--bins {'points' if wide else 'averaged'} changes it"
    if len(a.centres) == 1:
        low, high = a.centres[0] - mean / 2, a.centres[0] + mean / 2
        move = {"hkl": "--q-origin", "Q_abs": EXAMPLES["Q_abs"][0], "energy": "--energy"}[a.kind]
        taken = "averaged" if wide else "a point"
        said = f"{a.label} is {taken} from {low:.6g} to {high:.6g}; the spectrum is given at its centre"
        return [f"{said}, which {move} moves; {change}"]
    if a.widths is None:
        return [f"{a.label} has centres of bins without edges, and each {counts}; {change}"]
    return [f"bins along {a.label} are {a.widths.min():g} to {a.widths.max():g} wide, and each {counts}; {change}"]


class Place(TypedDict, total=False):
    """What a user can say where a file does not say which part of reciprocal space it shows.

    Attributes:
        q_origin: wavevector in r.l.u. that is added to what the axes give.
        Q_abs: |Q| in 1/Å of a powder's cut in energy.
        energy: energy transfer in meV of a cut in Q.
    """

    q_origin: Vector | None
    Q_abs: float | None
    energy: float | None


class Where:
    """Wavevectors and energies of the cells of a histogram.

    Attributes:
        along: the axes in Q, in the order of the file.
        energy: the axis of energy transfer, or None where `omega` is one number.
        powder: whether Q is |Q|.
        origin: (3,) in r.l.u., or (1,) in 1/Å for a powder, at the zero of all axes in Q.
        bins: the bin around each cell.
        assumed: what was taken for granted, a sentence each.
    """

    def __init__(self, name: str, axes: Sequence[Axis], given: Place, bins: str | None = None):
        """Checks that axes and user together say where every cell lies.

        Args:
            name: of the data set, for errors.
            axes: in the order of the file.
            given: what the user says where the axes do not, or of axes with one bin.
            bins: see `resized`.

        Raises:
            DataError: they do not, or they say it twice.
        """
        said = [line for a in axes for line in said_of_bins(a, bins)]
        axes, given = _moved(name, [resized(a, bins) for a in axes], given)
        energies = [a for a in axes if a.kind == "energy"]
        if len(energies) > 1:
            raise DataError(f"{name} has {len(energies)} axes of energy transfer where one makes sense.")
        self.axes = tuple(axes)
        self.energy = energies[0] if energies else None
        self.along = tuple(a for a in axes if a.kind != "energy")
        self.powder = given.get("Q_abs") is not None or any(a.kind == "Q_abs" for a in axes)
        self.origin = _powder(name, self.along, given) if self.powder else _crystal(name, self.along, given)
        self.omega = _energy(name, self.energy, given)
        self.assumed = said
        self.bins = Bins(
            hkl=tuple(_triple(a.direction * a.width) for a in self.along if a.direction is not None and a.width),
            Q_abs=sum(a.width for a in self.along if a.kind == "Q_abs"),
            omega=self.energy.width if self.energy else 0.0,
        )

    def table(self) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
        """Wavevectors (q, 3) in r.l.u. or |Q| (q,) in 1/Å, the other None, and energies (w,) in meV."""
        counts = tuple(len(a.centres) for a in self.along)
        # Each axis along its own dimension, and a last one for the components.
        multiples = [np.expand_dims(a.centres, [i for i in range(len(counts) + 1) if i != own]) for own, a in
                     enumerate(self.along)]  # fmt: skip
        Q = self._sum(multiples, counts)
        hkl, Q_abs = self._named(Q.reshape(-1, Q.shape[-1]))
        return hkl, Q_abs, self.omega

    def at(self, cells: Sequence[np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
        """The same of single cells, given by their numbers along every axis, each of shape (d,)."""
        number = dict(zip(map(id, self.axes), cells, strict=True))
        size = (len(cells[0]),)
        Q = self._sum([a.centres[number[id(a)]][:, None] for a in self.along], size)
        omega = self.omega[number[id(self.energy)]] if self.energy else np.full(size, self.omega[0])
        return (*self._named(Q), omega)

    def _sum(self, multiples: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """Origin plus multiples of the direction of each axis, shape (*shape, 3), or (*shape, 1) for a powder."""
        Q = np.broadcast_to(self.origin, (*shape, len(self.origin))).copy()
        for a, multiple in zip(self.along, multiples, strict=True):
            Q += multiple * (1.0 if a.direction is None else a.direction)
        return Q

    def _named(self, Q: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        return (None, Q[:, 0]) if self.powder else (Q, None)


def _moved(name: str, axes: Sequence[Axis], given: Place) -> tuple[list[Axis], Place]:
    """The axes with those of one bin at the energy or |Q| that the user says, and what else the user says."""
    moved, left = list(axes), Place(**given)
    for i, a in enumerate(axes):
        key = "energy" if a.kind == "energy" else "Q_abs"
        if a.kind == key and len(a.centres) == 1 and (said := left.get(key)) is not None:
            moved[i] = a._replace(centres=np.array([scalar(name, key, said)]))
            left[key] = None
    return moved, left


def _triple(edge: np.ndarray) -> tuple[float, float, float]:
    h, k, l = (float(x) for x in edge)
    return h, k, l


def _powder(name: str, along: tuple[Axis, ...], given: Place) -> np.ndarray:
    Q_abs, labels = given.get("Q_abs"), ", ".join(a.label for a in along) or "none"
    if len(along) + (Q_abs is not None) > 1 or given.get("q_origin") is not None:
        raise DataError(f"{name}: |Q| and more are given (axes {labels}, Q_abs = {Q_abs}), but a powder has |Q| alone.")
    return np.array([0.0 if Q_abs is None else scalar(name, "Q_abs", Q_abs)])


def _crystal(name: str, along: tuple[Axis, ...], given: Place) -> np.ndarray:
    labels, origin = ", ".join(a.label for a in along) or "none", given.get("q_origin")
    directions = np.array([a.direction for a in along]).reshape(-1, 3)
    if np.linalg.matrix_rank(directions, tol=1e-6) < len(along):
        raise DataError(f"{name}: the axes {labels} are not independent, so that a cell has no one wavevector.")
    if len(along) < 3 and origin is None:
        remedy = "" if along else f" If the sample is a powder, give Q_abs in 1/Å instead: {how('Q_abs')}."
        raise DataError(
            f"{name}: its axes in Q ({labels}) do not say where it lies along the others. Give q_origin, the "
            f"wavevector in r.l.u. at the zero of these axes: {how('q_origin')}.{remedy}"
        )
    return np.zeros(3) if origin is None else vector(name, "q_origin", origin)


def _energy(name: str, energy: Axis | None, given: Place) -> np.ndarray:
    omega = given.get("energy")
    if energy is None and omega is None:
        raise DataError(
            f"{name}: none of its axes is the energy transfer. Give energy, in meV, if it is a cut at one: "
            f"{how('energy')}."
        )
    if energy is None:
        return np.array([scalar(name, "energy", omega)])
    if omega is not None:
        raise DataError(f"{name} has an axis of energy transfer, {energy.label}; energy = {omega} contradicts it.")
    return energy.centres


def scalar(name: str, option: str, given: object) -> float:
    """An option that is one finite number.

    Raises:
        DataError: it is something else.
    """
    try:
        found = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = np.nan
    if isinstance(given, str) or not np.isfinite(found):
        raise DataError(f"{name}: {option} = {given!r} where a finite number is needed.")
    return found


def vector(name: str, option: str, given: object, n: int = 3) -> np.ndarray:
    """An option that is n finite numbers.

    Raises:
        DataError: it is something else.
    """
    try:
        found = np.asarray(given, float)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (n,) or not np.isfinite(found).all():
        raise DataError(f"{name}: {option} = {given!r} where {n} finite numbers are needed.")
    return found
