"""(state, new data) -> state: what has been counted so far, by data set.

A data set is known by its name and its grid. Cumulative files replace what was there of a data set; the increments of
an incremental stream add to it, counts to counts and norm to norm, so that their order does not matter. A data set
without a name of its own (a reader then calls it after its file) is known by its grid alone: else every file of a
stream would be a data set of its own, and the same neutrons would be fitted many times.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import scipp as sc

from insiren.data.adopt import adopt
from insiren.data.bins import bins_of
from insiren.data.peaks import is_peaks
from insiren.data.spectrum import is_image, left_out, measured, place_of
from insiren.errors import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """What has been counted so far.

    Attributes:
        incremental: whether files add to each other, or replace each other.
        totals: the data sets by key, in the order of their first arrival.
    """

    incremental: bool = False
    totals: Mapping[str, sc.DataArray] = dataclasses.field(default_factory=dict)

    @property
    def sets(self) -> list[sc.DataArray]:
        """The data sets, in the order of their first arrival."""
        return list(self.totals.values())

    @property
    def neutrons(self) -> float:
        """In all data sets together."""
        return sum(map(neutrons, self.totals.values()))


def checked(data: sc.DataArray) -> sc.DataArray:
    """A data set fit to be folded: adopted, in one order of its dimensions, every unmasked pixel usable.

    Raises:
        DataError: it is a list of peaks, or no fit could use it.
    """
    if is_peaks(data):
        raise DataError(f"{data.name} is a list of peaks, which holds no neutrons to count; use `insiren fit` for it.")
    data = adopt(data)
    if is_image(data):
        data = data.transpose(["Q", "energy_transfer"]).copy()
    measured(data)
    return data


def fold(state: State, keyed: Mapping[str, sc.DataArray], renewed: Collection[str] = ()) -> State:
    """The state with the data sets of one more file.

    Args:
        state: so far.
        keyed: the data sets, as `by_key` gives them.
        renewed: keys of which all that counted came from this file's earlier content, so that the grid may change.

    Raises:
        DataError: a data set of that name has another grid, or its neutrons cannot be added.
    """
    totals = dict(state.totals)
    for key, one in keyed.items():
        there = totals.get(key)
        if there is not None and key not in renewed:
            _same(there, one)
            one = added(there, one) if state.incremental else one
        elif state.incremental and "counts" not in one.coords:
            raise DataError(f"{key} holds no counts, so that increments of it cannot be added; give counts.")
        totals[key] = one
    return dataclasses.replace(state, totals=totals)


def by_key(state: State, sets: Sequence[sc.DataArray], stem: str) -> dict[str, sc.DataArray]:
    """The data sets of a file under their keys, and called by them.

    The key is the name; of a data set without one it is the key of the data set on the same grid, if there is one.

    Args:
        state: so far.
        sets: as `checked` gives them.
        stem: name of the file without its suffix, which a reader takes where a data set has no name.

    Raises:
        DataError: two data sets of the file have one key.
    """
    keyed: dict[str, sc.DataArray] = {}
    grids = {grid_of(there): key for key, there in state.totals.items()}
    for one in sets:
        key = one.name if one.name not in ("", stem) else grids.get(grid_of(one), stem)
        if key in keyed:
            raise DataError(f"The file holds two data sets that count as {key}; give them names of their own.")
        keyed[key] = one.copy(deep=False)
        keyed[key].name = key
    return keyed


def grid_of(data: sc.DataArray) -> str:
    """A digest of where and over which bins a data set was measured."""
    digest = hashlib.sha256(repr(tuple(data.dims)).encode())
    for name in (*place_of(data), "energy_transfer"):
        digest.update(np.ascontiguousarray(data.coords[name].values, float).tobytes())
    digest.update(repr(bins_of(data)).encode())
    return digest.hexdigest()


def _same(there: sc.DataArray, one: sc.DataArray) -> None:
    """Refuses data that cannot continue a data set."""
    if grid_of(there) != grid_of(one):
        raise DataError(
            f"{one.name} has another grid ({_size(one)}) than before ({_size(there)}), so that its pixels are not "
            "those that are being counted; give it another name, or begin a run in another --out."
        )
    if "counts" in there.coords and "counts" not in one.coords:
        raise DataError(f"{one.name} held counts and now holds none; a mixture cannot be fitted by one likelihood.")


def _size(data: sc.DataArray) -> str:
    return " × ".join(map(str, data.shape))


def added(a: sc.DataArray, b: sc.DataArray) -> sc.DataArray:
    """The sum of two measurements on one grid: counts and norms add where both measured, else one counts alone.

    Raises:
        DataError: one of them holds no counts.
    """
    if lacking := [one.name for one in (a, b) if not {"counts", "norm"} <= set(one.coords)]:
        raise DataError(f"{lacking[0]} holds no counts, so that increments of it cannot be added; give counts.")
    out = [left_out(one) for one in (a, b)]

    def total(name: str) -> np.ndarray:
        parts = [sc.broadcast(one.coords[name], sizes=one.sizes).values for one in (a, b)]
        return sum(np.where(o, 0.0, part) for o, part in zip(out, parts, strict=True))  # type: ignore[return-value]

    counts, norm, missing = total("counts"), total("norm"), out[0] & out[1]
    safe = np.where(missing, 1.0, norm)
    found = a.copy()
    for mask in list(found.masks):
        del found.masks[mask]
    found.masks["missing"] = sc.array(dims=a.dims, values=missing)
    found.data = sc.array(
        dims=a.dims, values=np.where(missing, np.nan, counts / safe), variances=np.maximum(counts, 1) / safe**2,
        unit=a.unit,
    )  # fmt: skip
    found.coords["counts"] = sc.array(dims=a.dims, values=counts)
    found.coords["norm"] = sc.array(dims=a.dims, values=safe)
    return found


def neutrons(data: sc.DataArray) -> float:
    """How many neutrons a data set holds: its counts, else Σ (I/σ)² over pixels of positive intensity."""
    used = ~left_out(data)
    if "counts" in data.coords:
        return float(sc.broadcast(data.coords["counts"], sizes=data.sizes).values[used].sum())
    if data.variances is None:
        return 0.0
    fine = used & (data.values > 0) & (data.variances > 0)
    return float(np.sum(data.values[fine] ** 2 / data.variances[fine]))
