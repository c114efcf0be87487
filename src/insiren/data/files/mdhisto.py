"""Mantid's MDHistoWorkspace, as SaveMD writes it and as SpinW imitates it.

Source: Mantid, algorithms SaveMD 2, LoadMD and MDNorm; SpinW, sw_spec2MDHisto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import scipp as sc

from insiren.data.files.axes import Axis, Place, Vector, Where, axis, vector
from insiren.data.files.axis_names import meaning, per_angstrom
from insiren.data.files.cut import slices
from insiren.data.files.hints import CHOICES, chosen, how, otherwise
from insiren.data.files.histogram import Image, Sample, described
from insiren.data.files.mdhisto_cells import Cells, Meaning, Normalisation
from insiren.data.files.orientation import as_text, reciprocal
from insiren.data.files.projection import parse, refined
from insiren.data.files.tree import Node

CELL = ("a", "b", "c", "alpha", "beta", "gamma")
DIMENSIONS = 4
MATRIX = "experiment0/logs/W_MATRIX/value"
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
    signal: str | None = None,
    zeros: str | None = None,
    sigma: float | None = None,
    q_convention: str | None = None,
    directions: str | None = None,
    bins: str | None = None,
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
        signal: "density" in energy, or "integral" over each bin, as SpinW writes it.
        zeros: what 0 ± 0 without events is where the signal is an intensity, "measured" or "missing"; by
            default measured if other cells tell what one neutron is worth.
        sigma: standard deviation of every cell, where the file has no errors.
        q_convention: "inelastic" (ki − kf) or "crystallography" (kf − ki), in place of the file's.
        directions: of the axes, by their "labels", or the "columns" or "rows" of W_MATRIX; by default the
            matrix where it agrees with all labels.
        bins: see `axes.resized`.

    Raises:
        DataError: the file lacks something, contradicts itself, or holds no measurement.
    """
    entry = _entry(root)
    assert entry is not None
    layout = _layout(entry, lattice, q_convention, directions)
    where_slices = slices(name, layout.axes, cut)
    axes = [a.part(part.start, part.stop) for a, part in zip(layout.axes, where_slices, strict=True)]
    where = Where(name, axes, Place(q_origin=q_origin, Q_abs=Q_abs, energy=energy), bins)
    meaning = Meaning(
        *_normalisation(entry, normalisation),
        signal=chosen("signal", signal) if signal else "integral" if layout.spinw else "density",
        signal_by="given" if signal else "SpinW" if layout.spinw else "",
        zeros=zeros and chosen("zeros", zeros),
        sigma=sigma,
    )
    cells = Cells(entry / "data", layout.axes, meaning)
    target = Image(name, where, cells.has_errors) if sample is None else Sample(name, where, sample, seed)
    data = cells.pour(where_slices, target)
    drawn = []
    if isinstance(target, Sample):
        drawn = [
            f"{len(data.values)} of {target.of} measured cells drawn, seed {seed}; --hint sample=N and --hint seed=N "
            "change it"
        ]
    assumed = [*where.assumed, *layout.assumed, *cells.assumed, *drawn]
    return [described(data, assumed, _facts(entry, name, lattice))]


class _Layout(NamedTuple):
    """The axes in the order of the arrays, whether SpinW wrote them, and what was assumed."""

    axes: tuple[Axis, ...]
    spinw: bool
    assumed: list[str]


def _layout(entry: Node, lattice: Vector | None, q_convention: str | None, directions: str | None) -> _Layout:
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
    sign, assumed = _sign(entry, q_convention)
    axes = [_axis(entry, entry.need("data").need(key), n, lattice) for key, n in zip(order, signal.shape, strict=True)]
    if directions in (None, "labels"):
        axes, said = _refined(entry, axes, directions)
    else:
        axes, said = _replaced(entry, axes, order, chosen("directions", directions))
    turned = tuple(a if a.direction is None else a._replace(direction=sign * a.direction + 0.0) for a in axes)
    return _Layout(turned, _is_spinw(entry), assumed + said)


def _is_spinw(entry: Node) -> bool:
    # SpinW spells the attribute its own way.
    return "QConvention" not in entry.attrs and "Qconvention" in entry.attrs


def _sign(entry: Node, given: str | None) -> tuple[float, list[str]]:
    """By what hkl is multiplied to belong to ki − kf, and what was assumed about it."""
    if given is not None:
        meant, by = chosen("q_convention", given), "as asked for"
    else:
        # Mantid takes a missing one for Inelastic.
        stored = entry.attribute("Qconvention" if _is_spinw(entry) else "QConvention")
        meant = (stored or "Inelastic").lower()
        by = f"QConvention is {stored}" if stored else "assumed, since the file has no QConvention"
        if meant not in CHOICES["q_convention"]:
            raise entry.error(
                f"has the QConvention {stored!r}, where Inelastic or Crystallography is needed. Give "
                f"{how('q_convention')}"
            )
        if stored == "Inelastic":
            return 1.0, []
    turned = meant == "crystallography"
    what = "Q is kf − ki, so that hkl was multiplied by −1" if turned else "Q is ki − kf"
    return -1.0 if turned else 1.0, [f"{what} ({by}); {otherwise('q_convention', meant)} changes it"]


def _axis(entry: Node, node: Node, n: int, lattice: Vector | None) -> Axis:
    label, unit, frame = (node.attribute(key) for key in ("long_name", "units", "frame"))
    what, values = f"{node.file}: axis {label or node.path}", node.numbers().ravel()
    if label.startswith("Q_sample"):
        values = values * (per_angstrom(unit) or 1.0)
        return axis(label, "hkl", values, n, what, _sample_direction(entry, node, label))
    direction = parse(label)
    if direction is not None and (per := per_angstrom(unit)) is not None:
        values = values * per / np.linalg.norm(reciprocal(what, _lattice(entry, node, lattice)) @ direction)
        return axis(label, "hkl", values, n, what, direction)
    if direction is not None:
        return axis(label, "hkl", values, n, what, direction)
    found = meaning(label, unit)
    if found is None or found.kind == "hkl":
        raise node.error(
            f"is called {label!r} in {unit or 'no unit'} and {frame or 'no frame'}. Axes can be directions such as "
            "[H,H,0], Q_sample_x (with a UB matrix), |Q| and DeltaE; transform the workspace to these"
        )
    return axis(label, found.kind, values * found.factor, n, what)


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


def _labelled(axes: list[Axis]) -> list[int]:
    return [i for i, a in enumerate(axes) if a.direction is not None and parse(a.label) is not None]


def _refined(entry: Node, axes: list[Axis], given: str | None) -> tuple[list[Axis], list[str]]:
    """The axes with directions at full precision where the file keeps a matrix that agrees with the labels."""
    stored, labelled = entry.get(MATRIX), _labelled(axes)
    if stored is None or not labelled or stored.shape not in ((9,), (3, 3)):
        return axes, []
    if given == "labels":
        return axes, ["the axes run as their labels say, as asked for; --directions columns takes W_MATRIX"]
    directions = [d for i in labelled if (d := axes[i].direction) is not None]
    found = refined(directions, stored.numbers().reshape(3, 3))
    if found is None:
        return axes, [
            "W_MATRIX contradicts the labels of the axes and was not used; --directions columns takes its columns, "
            "--directions rows its rows"
        ]
    said = []
    for i, before, direction in zip(labelled, directions, found, strict=True):
        if not np.array_equal(direction, before):
            shown = ", ".join(f"{x:.7g}" for x in direction)
            said.append(f"{axes[i].label} is rounded; W_MATRIX gives ({shown}); --directions labels keeps the label")
        axes[i] = axes[i]._replace(direction=direction)
    return axes, said


def _replaced(entry: Node, axes: list[Axis], order: list[str], given: str) -> tuple[list[Axis], list[str]]:
    """The axes with the columns or the rows of the matrix of the file as directions, D0 with the first."""
    stored = entry.get(MATRIX)
    if stored is None or stored.shape not in ((9,), (3, 3)):
        raise entry.error(f"has no W_MATRIX of 3 × 3 numbers, of which directions = {given!r} would take a part")
    matrix = stored.numbers().reshape(3, 3)
    vectors = matrix.T if given == "columns" else matrix
    labelled = sorted(_labelled(axes), key=lambda i: order[i])
    if not np.isfinite(vectors).all() or not vectors[: len(labelled)].any(axis=1).all():
        raise stored.error(f"has {given} that are zero or not finite, which are no directions")
    for i, direction in zip(labelled, vectors, strict=False):
        axes[i] = axes[i]._replace(direction=direction)
    shown = ", ".join(f"{axes[i].label} along ({', '.join(f'{x:.7g}' for x in vectors[n])})"
                      for n, i in enumerate(labelled))  # fmt: skip
    return axes, [f"the {given} of W_MATRIX are the directions: {shown}; --directions labels changes it"]


def _normalisation(
    entry: Node, given: Normalisation | None
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
