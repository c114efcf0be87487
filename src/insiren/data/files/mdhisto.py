"""Mantid's MDHistoWorkspace, as SaveMD writes it and as SpinW imitates it.

Source: Mantid, algorithms SaveMD 2, LoadMD and MDNorm; SpinW, sw_spec2MDHisto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import scipp as sc

from insiren.data.files.axes import Axis, Place, Vector, Where, axis, vector
from insiren.data.files.axis_names import energy_factor, is_inverse_angstrom, meaning
from insiren.data.files.cut import slices
from insiren.data.files.hints import how
from insiren.data.files.histogram import Image, Sample, described
from insiren.data.files.mdhisto_cells import Cells, Normalisation
from insiren.data.files.orientation import as_text, reciprocal
from insiren.data.files.projection import parse, refined
from insiren.data.files.tree import Node

CELL = ("a", "b", "c", "alpha", "beta", "gamma")
DIMENSIONS = 4
NORMALISATIONS: tuple[Normalisation, ...] = ("none", "volume", "num_events")  # by Mantid's number


def is_mdhisto(root: Node) -> bool:
    """Whether a file holds such a workspace, or the events of one."""
    return _entry(root) is not None


def _entry(root: Node) -> Node | None:
    for node in root.groups():
        data = node.get("data")
        inside = set(data.members) if data is not None else set()
        if node.path.strip("/") in ("MDHistoWorkspace", "MDEventWorkspace") or {"signal", "num_events"} <= inside:
            return node
    return None


def read_mdhisto(
    root: Node,
    name: str,
    *,
    cut: Mapping[str, Any] | None = None,
    sample: int | None = None,
    seed: int = 0,
    normalisation: Normalisation | None = None,
    lattice: Vector | None = None,
    q_origin: Vector | None = None,
    Q_abs: float | None = None,
    energy: float | None = None,
) -> list[sc.DataArray]:
    """The histogram of a file as an image, or as a list of points drawn from it.

    Args:
        root: of the file.
        name: of the data set.
        cut: ranges by axis, see `cut.slices`; nothing else of the file is read.
        sample: number of measured cells to draw at random instead of taking all.
        seed: of the draw.
        normalisation: "none" where the signal is an intensity already, "num_events" where it is a
            sum over events, "volume" where it is one in proportion to the bin; by default as the
            file says.
        lattice: a, b, c in Å and α, β, γ in degrees, where the file has none and needs it.
        q_origin: wavevector in r.l.u. of the zero of the axes, where these are fewer than three.
        Q_abs: |Q| in 1/Å of a powder's cut in energy.
        energy: energy transfer in meV of a file without such an axis.

    Raises:
        DataError: the file lacks something, contradicts itself, or holds no measurement.
    """
    entry = _entry(root)
    assert entry is not None
    layout = _layout(entry, lattice)
    where_slices = slices(name, layout.axes, cut)
    axes = [a.part(part.start, part.stop) for a, part in zip(layout.axes, where_slices, strict=True)]
    where = Where(name, axes, Place(q_origin=q_origin, Q_abs=Q_abs, energy=energy))
    cells = Cells(entry / "data", layout.axes, *_normalisation(entry, name, normalisation), layout.per_bin)
    target = Image(name, where, cells.has_errors) if sample is None else Sample(name, where, sample, seed)
    data = cells.pour(where_slices, target)
    drawn = (
        [f"{len(data.values)} of {target.of} measured cells drawn, seed {seed}"] if isinstance(target, Sample) else []
    )
    return [described(data, [*where.assumed, *layout.assumed, *cells.assumed, *drawn], _facts(entry, name, lattice))]


class _Layout(NamedTuple):
    """The axes in the order of the arrays, whether the signal is per bin, and what was assumed."""

    axes: tuple[Axis, ...]
    per_bin: bool
    assumed: list[str]


def _layout(entry: Node, lattice: Vector | None) -> _Layout:
    if "MDEventWorkspace" in entry.path or entry.get("event_data") is not None:
        raise entry.error("holds events, not a histogram. Bin them first, with MDNorm, and save that")
    if "data" not in entry.members and "signal" in entry.members:
        raise entry.error(
            "is of the first version of SaveMD, which no program writes now. Load and save it with Mantid"
        )
    signal = entry.need("data").need("signal")
    order = [part for part in signal.attribute("axes").split(":") if part]
    if len(order) != len(signal.shape) or not 1 <= len(order) <= DIMENSIONS or len(set(order)) < len(order):
        raise signal.error(
            f"has the shape {signal.shape} and names the axes {signal.attribute('axes')!r}; there must be 1 to "
            f"{DIMENSIONS} different ones, one for each dimension"
        )
    # SpinW spells the attribute its own way, and Mantid takes a missing one for Inelastic.
    spinw = "QConvention" not in entry.attrs and "Qconvention" in entry.attrs
    convention = entry.attribute("Qconvention" if spinw else "QConvention") or "Inelastic"
    assumed = []
    if convention not in ("Inelastic", "Crystallography"):
        raise entry.error(f"has the QConvention {convention!r}, where Inelastic or Crystallography is needed")
    if convention == "Crystallography":
        assumed.append("QConvention is Crystallography (kf − ki), so that hkl was multiplied by −1")
    axes = [_axis(entry, entry.need("data").need(key), n, lattice) for key, n in zip(order, signal.shape, strict=True)]
    axes, said = _refined(entry, axes)
    sign = -1.0 if convention == "Crystallography" else 1.0
    turned = tuple(a if a.direction is None else a._replace(direction=sign * a.direction + 0.0) for a in axes)
    return _Layout(turned, spinw, assumed + said)


def _axis(entry: Node, node: Node, n: int, lattice: Vector | None) -> Axis:
    label, unit, frame = (node.attribute(key) for key in ("long_name", "units", "frame"))
    what, values = f"{node.file}: axis {label or node.path}", node.numbers().ravel()
    if label.startswith("Q_sample"):
        return axis(label, "hkl", values, n, what, _sample_direction(entry, node, label))
    direction = parse(label)
    if direction is not None and is_inverse_angstrom(unit):
        values = values / np.linalg.norm(reciprocal(what, _lattice(entry, node, lattice)) @ direction)
        return axis(label, "hkl", values, n, what, direction)
    if direction is not None:
        return axis(label, "hkl", values, n, what, direction)
    found = meaning(label, unit)
    if found is None or found.kind == "hkl":
        raise node.error(
            f"is called {label!r} in {unit or 'no unit'} and {frame or 'no frame'}. Axes can be directions such as "
            "[H,H,0], Q_sample_x (with a UB matrix), |Q| and DeltaE; transform the workspace to these"
        )
    factor = energy_factor(unit) if found.kind == "energy" else 1.0
    return axis(label, found.kind, values * (factor or 1.0), n, what)


def _lattice(entry: Node, node: Node, given: Vector | None) -> Vector:
    found = _stored_lattice(entry)
    if given is None and found is None:
        raise node.error(f"is in 1/Å, and the file has no lattice. Give it as {how('lattice')}")
    return given if given is not None else found if found is not None else ()


def _stored_lattice(entry: Node) -> np.ndarray | None:
    stored = entry.get("experiment0/sample/oriented_lattice")
    if stored is None or not {f"unit_cell_{c}" for c in CELL} <= set(stored.members):
        return None
    return np.array([(stored / f"unit_cell_{c}").number() for c in CELL])


def _sample_direction(entry: Node, node: Node, label: str) -> np.ndarray:
    """r.l.u. of 1 1/Å along a Cartesian axis of the sample."""
    stored = entry.get("experiment0/sample/oriented_lattice/orientation_matrix")
    component = {"Q_sample_x": 0, "Q_sample_y": 1, "Q_sample_z": 2}.get(label)
    if stored is None or component is None:
        raise node.error(f"is {label}, and the file has no UB matrix to turn it into hkl. Bin the data in HKL")
    UB = stored.numbers()
    if UB.size != 9 or not np.isfinite(UB).all() or abs(np.linalg.det(UB.reshape(3, 3))) < 1e-12:
        raise stored.error("is no invertible 3 × 3 matrix, so that Q cannot be turned into hkl")
    # Mantid's UB is without the factor 2π.
    return np.linalg.inv(2 * np.pi * UB.reshape(3, 3))[:, component]


def _refined(entry: Node, axes: list[Axis]) -> tuple[list[Axis], list[str]]:
    """The axes with directions at full precision where the file keeps a matrix that agrees with the labels."""
    stored = entry.get("experiment0/logs/W_MATRIX/value")
    labelled = [i for i, a in enumerate(axes) if a.direction is not None and parse(a.label) is not None]
    if stored is None or not labelled or stored.shape not in ((9,), (3, 3)):
        return axes, []
    directions = [d for i in labelled if (d := axes[i].direction) is not None]
    found = refined(directions, stored.numbers().reshape(3, 3))
    if found is None:
        return axes, ["W_MATRIX contradicts the labels of the axes and was not used"]
    said = []
    for i, before, direction in zip(labelled, directions, found, strict=True):
        if not np.array_equal(direction, before):
            said.append(f"{axes[i].label} is rounded; W_MATRIX gives ({', '.join(f'{x:.7g}' for x in direction)})")
        axes[i] = axes[i]._replace(direction=direction)
    return axes, said


def _normalisation(
    entry: Node, name: str, given: Normalisation | None
) -> tuple[Normalisation, Literal["given", "stored", "absent"]]:
    if given is not None:
        if given not in NORMALISATIONS:
            raise entry.error(f"was to be read with normalisation = {given!r}; there are {', '.join(NORMALISATIONS)}")
        return given, "given"
    stored = entry.get("visual_normalization")
    if stored is None:
        return "none", "absent"
    number = stored.number()
    if number not in (0, 1, 2):
        raise stored.error(
            f"is {number:g}, where 0 (none), 1 (volume) or 2 (num_events) is known. Give {how('normalisation')}"
        )
    return NORMALISATIONS[int(number)], "stored"


def _facts(entry: Node, name: str, given: Vector | None) -> dict[str, float | str]:
    """Ei and the lattice, where the file or the user has them."""
    facts: dict[str, float | str] = {}
    Ei = entry.get("experiment0/logs/Ei/value")
    if Ei is not None and Ei.is_numeric and Ei.shape in ((), (1,)) and np.isfinite(Ei.number()):
        facts["Ei"] = Ei.number()
    lattice = _stored_lattice(entry) if given is None else vector(name, "lattice", given, len(CELL))
    if lattice is not None:
        facts["lattice"] = as_text(lattice)
    return facts
