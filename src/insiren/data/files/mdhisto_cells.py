"""The cells of an MDHistoWorkspace: normalised, and told apart into measured, empty, masked and never covered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import scipp as sc

from insiren.data.files.axes import Axis
from insiren.data.files.errors import without_errors
from insiren.data.files.hints import how, otherwise
from insiren.data.files.histogram import Image, Sample
from insiren.data.files.tree import Node

Normalisation = Literal["none", "volume", "num_events"]
Block = tuple[slice, ...]


class Meaning(NamedTuple):
    """What the arrays of a workspace mean.

    Attributes:
        normalisation: of the signal.
        normalised_by: who says so.
        signal: "density", or "integral" over each bin of energy.
        signal_by: who says so, SpinW where the file is by it; "" where nobody does.
        zeros: what 0 ± 0 without events is, "missing" or "measured"; None: measured where its σ can be told.
        sigma: standard deviation of every cell, where there are no errors.
    """

    normalisation: Normalisation
    normalised_by: Literal["given", "stored", "absent"]
    signal: str
    signal_by: str
    zeros: str | None
    sigma: float | None


class _Counts(NamedTuple):
    """What one neutron is worth at each energy, gathered block by block: sums of its logarithm, and their number."""

    logs: np.ndarray
    number: np.ndarray

    def worth(self) -> np.ndarray:
        """Intensity of one neutron at each energy, shape (w,); the mean of all where an energy has none, else NaN."""
        with np.errstate(invalid="ignore"):
            each = np.where(self.number > 0, self.logs / np.maximum(self.number, 1), np.nan)
            whole = self.logs.sum() / self.number.sum() if self.number.any() else np.nan
        return np.exp(np.where(np.isnan(each), whole, each))


class Cells:
    """The arrays of a workspace, read in blocks.

    Three kinds of cells must not be confused. NaN was never covered. With an intensity that is
    normalised already, 0 ± 0 without events was covered and caught nothing: it is a measurement,
    whose error is that of one neutron. With a sum over events, no events means nothing is known.

    Attributes:
        has_errors: whether there are variances.
        assumed: what was taken for granted, a sentence each; complete once everything was poured.
    """

    def __init__(self, data: Node, axes: Sequence[Axis], meaning: Meaning):
        """Checks that the arrays have one shape.

        Args:
            data: the group of the arrays.
            axes: of all cells, in the order of the arrays.
            meaning: of the arrays.

        Raises:
            DataError: an array is of another shape, the signal was never written, or what its meaning
                needs is not there.
        """
        self.data, self.axes, self.meaning, self.normalisation = data, axes, meaning, meaning.normalisation
        self.signal = data / "signal"
        self.signal.check_written()
        self.arrays: dict[str, Node] = {}
        for key in ("errors_squared", "num_events", "mask"):
            if (array := data.get(key)) is None:
                continue
            if array.shape != self.signal.shape:
                raise array.error(f"has the shape {array.shape} where the signal has {self.signal.shape}")
            self.arrays[key] = array
        if self.normalisation != "none" and "num_events" not in self.arrays:
            raise data.error(f"has no num_events, without which the normalisation {self.normalisation!r} is impossible")
        if self.normalisation != "none" and meaning.zeros == "measured":
            raise data.error(
                f"has the normalisation {self.normalisation!r}, with which nothing is known where there are no events: "
                "zeros = 'measured' is impossible. Give --hint normalisation=none too if the signal is an intensity"
            )
        self.has_errors = "errors_squared" in self.arrays
        self.energy = next((i for i, a in enumerate(axes) if a.kind == "energy"), None)
        size = 1 if self.energy is None else len(axes[self.energy].centres)
        self.counts = _Counts(np.zeros(size), np.zeros(size))
        self.per_bin = self._widths(data)
        self.left = 0  # cells of 0 ± 0 that are missing as the user says
        self.told = False  # whether errors or events anywhere differ from 0
        self.most = 0.0  # events of one cell
        self.assumed: list[str] = []

    def _widths(self, data: Node) -> np.ndarray | None:
        """Widths of the bins of energy by which the signal is to be divided, or None."""
        widths = None if self.energy is None else self.axes[self.energy].widths
        if self.meaning.signal == "integral" and widths is None and self.meaning.signal_by == "given":
            raise data.error("has no edges of an energy axis, by which a signal that is an integral would be divided")
        return widths if self.meaning.signal == "integral" else None

    def pour(self, where: Block, target: Image | Sample) -> sc.DataArray:
        """The spectrum of the cells in a part of the arrays.

        Args:
            where: slices along all dimensions.
            target: takes the blocks, at places counted from the start of that part.
        """
        for block in self.signal.blocks(where):
            at = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(block, where, strict=True))
            values, variances, missing, masked = self._cells(block)
            target.fill(at, values, variances, missing)
            target.mask("mask", at, masked)
        data = target.finished()
        if not (self.has_errors and self.told):
            data.data = sc.values(data.data)
            why = "all errors and numbers of events are 0" if self.has_errors else "there are no errors_squared"
            self.assumed.append(without_errors(data, self.meaning.sigma, why))
        elif self.meaning.sigma is not None:
            raise self.data.error(f"has errors, which sigma = {self.meaning.sigma!r} contradicts. Leave it out")
        elif self.normalisation == "none":
            self._empty_cells(data, where)
        self._explain()
        return data

    def _cells(self, block: Block) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
        """Intensity, variance, what is missing and what is masked; −inf is the variance of an empty cell."""
        values = self.signal.block(block).astype(float)
        variances = self._array("errors_squared", block)
        events = self._array("num_events", block)
        mask = self._array("mask", block)
        masked = np.zeros(values.shape, bool) if mask is None else mask != 0
        missing = np.isnan(values) | masked
        if events is not None:
            self.most = max(self.most, float(np.max(events, initial=0.0)))
            self.told |= bool(events.any())
        if variances is not None:
            self.told |= bool(variances.any())
        with np.errstate(all="ignore"):
            if self.normalisation != "none" and events is not None:
                missing |= ~(events > 0)
                if self.normalisation == "num_events":
                    values, variances = values / events, None if variances is None else variances / events**2
            elif variances is not None and events is not None:
                self._count(block, np.sqrt(variances / events), ~missing & (events > 0) & (variances > 0))
                variances[~missing & (variances == 0) & (events == 0)] = -np.inf
            if self.normalisation == "none" and events is not None and self.meaning.zeros == "missing":
                left = ~missing & (values == 0) & (events == 0)
                missing |= left
                self.left += int(left.sum())
            if self.per_bin is not None and self.energy is not None:
                # Along the axis of energy, whichever it is.
                per = self.per_bin[block[self.energy]].reshape(
                    [-1 if i == self.energy else 1 for i in range(values.ndim)]
                )
                values, variances = values / per, None if variances is None else variances / per**2
        return values, variances, missing, masked

    def _array(self, key: str, block: Block) -> np.ndarray | None:
        return self.arrays[key].block(block).astype(float) if key in self.arrays else None

    def _count(self, block: Block, worth: np.ndarray, known: np.ndarray) -> None:
        logs = np.where(known, np.log(np.where(known, worth, 1.0)), 0.0)
        at = slice(None) if self.energy is None else block[self.energy]
        others = tuple(i for i in range(logs.ndim) if i != self.energy)
        self.counts.logs[at] += logs.sum(others)
        self.counts.number[at] += known.sum(others)

    def _empty_cells(self, data: sc.DataArray, where: Block) -> None:
        """Gives cells that were covered and caught nothing the variance of one neutron."""
        if data.variances is None:  # without errors there are none to give
            return
        worth = self.counts.worth()
        if self.energy is not None:
            worth = worth[where[self.energy]]
        grid = data.ndim == 2
        if not grid and self.energy is not None:
            omega = self.axes[self.energy].centres[where[self.energy]]
            order = np.argsort(omega)
            worth = np.interp(data.coords["energy_transfer"].values, omega[order], worth[order])
        known = bool(np.isfinite(worth).all())
        if self.meaning.zeros == "measured":
            worth = np.nan_to_num(worth)
        empty = 0
        # One energy at a time: the numbers of the cells would need more room than the cells.
        for i in range(data.shape[1]) if grid else [slice(None)]:
            column, missing = (x[:, i] if grid else x for x in (data.variances, data.masks["missing"].values))
            found = np.isneginf(column)
            empty += int(found.sum())
            one = worth[i] if grid else np.broadcast_to(worth, column.shape)[found]
            column[found] = np.square(one)
            missing[found] |= np.isnan(one)
        change = otherwise("zeros", "measured")
        if empty and known:
            self.assumed.append(
                f"{empty} cells are 0 ± 0 without events: covered, nothing caught; their σ is the worth of one neutron "
                f"at that energy ({worth.min():.3g} to {worth.max():.3g}); {change} leaves them out"
            )
        elif empty:
            self.assumed.append(
                f"{empty} cells are 0 ± 0, and no cell with events tells what one is worth: "
                + (f"σ = 0, which --sigma-floor raises; {change} leaves them out" if self.meaning.zeros else
                   f"missing; {otherwise('zeros', 'missing')} keeps them with σ = 0, which --sigma-floor raises")
            )  # fmt: skip

    def _explain(self) -> None:
        by = {
            "given": "as asked for",
            "stored": "as visual_normalization says",
            "absent": "assumed, since the file has no visual_normalization",
        }[self.meaning.normalised_by]
        meant = {
            "none": "signal is an intensity, not divided by num_events",
            "volume": "signal is a density up to a constant; cells without events are missing",
            "num_events": "signal and errors are divided by num_events; cells without events are missing",
        }[self.normalisation]
        other = "num_events" if self.normalisation == "none" else "none"
        self.assumed.append(f"{meant} ({by}); --hint normalisation={other} changes it")
        if self.meaning.normalised_by == "absent" and self.most > 1:
            self.assumed.append(
                f"num_events goes up to {self.most:g}; if the signal is a sum over them, read it with "
                f"{how('normalisation')}"
            )
        if self.left:
            self.assumed.append(f"{self.left} cells are 0 ± 0 without events: missing; --zeros measured changes it")
        if self.meaning.signal_by:
            by = "as asked for" if self.meaning.signal_by == "given" else f"written by {self.meaning.signal_by}"
            divided = self.per_bin is not None
            what = "an integral over each bin and was divided by its width" if divided else "a density in energy"
            change = otherwise("signal", "integral" if divided else "density")
            self.assumed.append(f"{by}: the signal is {what}; {change} changes it")
