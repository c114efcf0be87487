"""A histogram is filled into a spectrum block by block, so that no second copy of a volume is needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipp as sc

from insiren.data.files.axes import Where
from insiren.data.files.hints import how
from insiren.data.spectrum import image, point_list
from insiren.errors import DataError

NOTHING = -1e10  # intensities at or below it were not measured; programs write −1e20 or −1e30
LARGEST = 100_000_000  # cells of one array
ROOM = 1.25e9  # bytes of a spectrum that is taken whole: 7e7 cells in energy and a few hundred thousand in Q
CELL, WAVEVECTOR = 17, 48  # bytes: a value, its variance and its mask; hkl, and hkl again while it is laid out

Block = tuple[slice, ...]


class Image:
    """An image to be filled in the order of the axes of a file.

    Attributes:
        data: the image; every cell is missing until it is filled.
    """

    def __init__(self, name: str, where: Where, has_errors: bool):
        """Lays out the cells.

        Args:
            name: of the data set.
            where: the cells.
            has_errors: whether there will be variances.

        Raises:
            DataError: there are too many of them.
        """
        size = math.prod(len(a.centres) for a in where.axes)
        room = CELL * size + WAVEVECTOR * math.prod(len(a.centres) for a in where.along)
        if room > ROOM:
            raise DataError(
                f"{name} has {size:.3g} cells, which take {room / 1e9:.1f} GB, above the {ROOM / 1e9:.2f} that are "
                f"read whole. Take a part of it: {how('cut')}; or some cells drawn at random: {how('sample')}."
            )
        hkl, Q_abs, omega = where.table()
        blank = np.broadcast_to(np.nan, (math.prod(len(a.centres) for a in where.along), len(omega)))
        self.data = image(name, hkl, omega, blank, blank if has_errors else None, Q_abs=Q_abs, bins=where.bins)
        self.where = where
        self.values = self._view(self.data.values)
        self.variances = self._view(self.data.variances) if has_errors else None
        self.missing = self._view(self.data.masks["missing"].values)

    def _view(self, array: np.ndarray) -> np.ndarray:
        sizes = [len(a.centres) for a in self.where.along]
        laid = array.reshape([*sizes, len(self.where.omega)])
        if self.where.energy is None:
            return laid[..., 0]
        return np.moveaxis(laid, -1, [a is self.where.energy for a in self.where.axes].index(True))

    def fill(self, at: Block, values: np.ndarray, variances: np.ndarray | None, missing: np.ndarray) -> None:
        """Puts cells in their place.

        Args:
            at: slices along the axes of the file.
            values: intensities there.
            variances: their variances.
            missing: which of them were not measured.
        """
        self.values[at] = np.where(missing, np.nan, values)
        if self.variances is not None and variances is not None:
            self.variances[at] = np.where(missing, np.nan, variances)
        self.missing[at] = missing

    def mask(self, name: str, at: Block, masked: np.ndarray) -> None:
        """Adds cells to a mask, which exists from the first cell on that it hides."""
        if not masked.any():
            return
        if name not in self.data.masks:
            self.data.masks[name] = sc.zeros(sizes=self.data.sizes, dtype=bool)
        self._view(self.data.masks[name].values)[at] = masked

    def finished(self) -> sc.DataArray:
        """The image."""
        return self.data


class Sample:
    """Some measured cells of a histogram, every one as likely as every other, in a list of points."""

    def __init__(self, name: str, where: Where, size: int, seed: int):
        """Starts with none.

        Args:
            name: of the data set.
            where: the cells.
            size: how many to keep, or all if there are fewer.
            seed: of the draw.

        Raises:
            DataError: the size is not a positive number.
        """
        if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= LARGEST:
            raise DataError(f"{name}: sample = {size!r} is not a number of cells from 1 to {LARGEST}.")
        self.name, self.where, self.size = name, where, size
        self.random = np.random.default_rng(seed)
        self.lots = np.zeros(0)
        # Columns: the value, its variance, and the number of the cell along every axis.
        self.kept = np.zeros((0, 2 + len(where.axes)))
        self.of = 0

    def fill(self, at: Block, values: np.ndarray, variances: np.ndarray | None, missing: np.ndarray) -> None:
        """Draws among cells; see `Image.fill`."""
        cells = np.nonzero(~missing)
        self.of += len(cells[0])
        lots = self.random.random(len(cells[0]))
        # Only the smallest lots of all survive; most of a block falls at once.
        lucky = lots < (self.lots.max() if len(self.lots) == self.size else 1.0)
        cells = tuple(number[lucky] for number in cells)
        sigma2 = np.full(len(cells[0]), np.nan) if variances is None else variances[cells]
        numbers = [number + part.start for number, part in zip(cells, at, strict=True)]
        rows = np.stack([values[cells], sigma2, *numbers], axis=1)
        self.lots, self.kept = np.concatenate([self.lots, lots[lucky]]), np.concatenate([self.kept, rows])
        if len(self.lots) > self.size:
            best = np.argpartition(self.lots, self.size)[: self.size]
            self.lots, self.kept = self.lots[best], self.kept[best]

    def mask(self, name: str, at: Block, masked: np.ndarray) -> None:
        """Nothing: cells that a mask hides are never drawn."""

    def finished(self) -> sc.DataArray:
        """The points, in the order of the file."""
        kept = self.kept[np.lexsort(self.kept[:, :1:-1].T)]
        hkl, Q_abs, omega = self.where.at([column.astype(int) for column in kept[:, 2:].T])
        sigma = None if np.isnan(kept[:, 1]).all() else np.zeros(len(kept))
        data = point_list(self.name, hkl, omega, kept[:, 0], sigma, Q_abs=Q_abs, bins=self.where.bins)
        if sigma is not None:
            data.variances = kept[:, 1]
        return data


def described(
    data: sc.DataArray, assumed: Sequence[str], facts: Mapping[str, float | str], noted: Sequence[str] = ()
) -> sc.DataArray:
    """The spectrum with what was assumed and what else is known of it.

    Args:
        data: a spectrum.
        assumed: a sentence each, with the option that overrides it.
        facts: scalar coordinates by name: `Ei` in meV, `lattice` as text.
        noted: what was found and left no choice, a sentence each.

    Raises:
        DataError: no cell of it was measured.
    """
    missing = data.masks["missing"].values
    if missing.all():
        raise DataError(f"{data.name}: none of its {missing.size} cells was measured (NaN, masked or never covered).")
    for key, said in (("assumed", assumed), ("noted", noted)):
        if said:
            data.coords[key] = sc.scalar("\n".join(said))
    for key, value in facts.items():
        data.coords[key] = sc.scalar(value) if isinstance(value, str) else sc.scalar(float(value), unit="meV")
    return data
