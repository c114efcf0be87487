"""NeXus NXdata groups of one or two dimensions: cuts and slices that any program may have written.

Source: NeXus, base class NXdata, with the older attributes `signal=1` and `axes` on the data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipp as sc

from insiren.data.files.axes import Axis, Place, Vector, Where, axis, vector
from insiren.data.files.axis_names import may_be_rlu, meaning
from insiren.data.files.errors import standard, without_errors
from insiren.data.files.hints import chosen, how
from insiren.data.files.histogram import NOTHING, Image, described
from insiren.data.files.tree import Node

DEPTH = 4  # groups within groups; NeXus puts NXdata into an entry, some into a process within
GROUPS = 1000  # looked through at most
DIMENSIONS = (1, 2)


def is_nxdata(root: Node) -> bool:
    """Whether there is an NXdata group with a signal of one or two dimensions."""
    return next(_found(root), None) is not None


def _found(root: Node) -> Iterator[Node]:
    """The groups of plottable data, an entry after the other."""
    looked, waiting = 0, [(root, 0)]
    while waiting and looked < GROUPS:
        node, depth = waiting.pop(0)
        looked += 1
        if node.attribute("NX_class") == "NXdata" or "signal" in node.attrs:
            signal = _signal(node)
            if signal is not None and len(signal.shape) in DIMENSIONS:
                yield node
        if depth < DEPTH:
            waiting += [(group, depth + 1) for group in node.groups()]


def _signal(group: Node) -> Node | None:
    named = group.attribute("signal")
    if named:
        found = group.get(named)
        return found if found is not None and found.is_numeric else None
    for key in group.members:
        node = group / key
        if node.is_numeric and node.attrs.get("signal") in (1, "1"):
            return node
    return None


def read_nxdata(
    root: Node,
    name: str,
    *,
    entry: str | None = None,
    q_direction: Vector | None = None,
    q_origin: Vector | None = None,
    Q_abs: float | None = None,
    energy: float | None = None,
    bins: str | None = None,
    errors: str = "sigma",
    sigma: float | None = None,
) -> list[sc.DataArray]:
    """Every cut or slice of a file.

    Args:
        root: of the file.
        name: of the data sets; the place in the file is added where there are several.
        entry: the one group to read, such as "entry/data".
        q_direction: r.l.u. of one unit along the axis in Q, where its name does not say.
        q_origin: wavevector in r.l.u. at the zero of the axes.
        Q_abs: |Q| in 1/Å of a powder's cut in energy.
        energy: energy transfer in meV of a cut in Q.
        bins: see `axes.resized`.
        errors: what the data set of errors holds, "sigma" or "variance".
        sigma: standard deviation of every pixel, where there is no such data set.

    Raises:
        DataError: a group lacks something or holds no measurement.
    """
    groups = list(_found(root)) if entry is None else [root.need(entry.strip("/"))]
    place = Place(q_origin=q_origin, Q_abs=Q_abs, energy=energy)
    names = [name if len(groups) == 1 else f"{name}:{group.path.strip('/')}" for group in groups]
    told = _Told(None if q_direction is None else vector(name, "q_direction", q_direction), bins, errors, sigma)
    return [_read(group, one, told, place) for group, one in zip(groups, names, strict=True)]


class _Told(NamedTuple):
    """What the user says; see `read_nxdata`."""

    q_direction: np.ndarray | None
    bins: str | None
    errors: str
    sigma: float | None


def _read(group: Node, name: str, told: _Told, place: Place) -> sc.DataArray:
    signal = _signal(group)
    if signal is None or len(signal.shape) not in DIMENSIONS:
        raise group.error(f"has no signal of one or two dimensions. Name another group: {how('entry')}")
    names = _axis_names(group, signal)
    _check_indices(group, names)
    found = [_axis(group, key, n, told.q_direction) for key, n in zip(names, signal.shape, strict=True)]
    axes = [a for a, _ in found]
    where = Where(name, axes, place, told.bins)
    values = signal.numbers()
    sigma, said = _sigma(group, signal, told.errors, values <= NOTHING)
    target = Image(name, where, sigma is not None)
    with np.errstate(over="ignore"):
        variances = None if sigma is None else sigma**2
    missing = np.isnan(values) | (values <= NOTHING)
    target.fill(tuple(slice(0, n) for n in values.shape), values, variances, missing)
    data = target.finished()
    if sigma is None:
        said = [without_errors(data, told.sigma, "neither uncertainties nor a data set of errors is named")]
    elif told.sigma is not None:
        raise group.error(f"has a data set of errors, which sigma = {told.sigma!r} contradicts. Leave it out")
    assumed, noted = [*where.assumed, *said], []
    if below := int(np.sum(values <= NOTHING)):
        noted.append(f"{below} of {values.size} pixels are −10¹⁰ and below, which stands for not measured")
    for key, (a, asked) in zip(names, found, strict=True):
        what = f"axis {key} is {a.kind if a.direction is None else _vector_text(a.direction)}"
        if asked:
            assumed.append(f"{what}, as --q-direction says")
        else:
            noted.append(what)
    return described(data, assumed, {}, noted)


def _vector_text(direction: np.ndarray) -> str:
    return f"along ({', '.join(f'{x:g}' for x in direction)}) r.l.u."


def _axis_names(group: Node, signal: Node) -> list[str]:
    stored = group.attrs.get("axes", signal.attrs.get("axes"))
    if isinstance(stored, str):
        names = [part.strip() for part in stored.strip("[]").replace(",", ":").split(":")]
    elif isinstance(stored, list) and all(isinstance(part, str) for part in stored):
        names = [str(part) for part in stored]
    else:
        # Older still: every axis says which dimension it is, counted from 1.
        numbered = {(group / key).attrs.get("axis"): key for key in group.members if (group / key).is_numeric}
        names = [numbered.get(i + 1, numbered.get(str(i + 1), ".")) for i in range(len(signal.shape))]
    if len(names) != len(signal.shape):
        raise group.error(f"names the axes {', '.join(names)} for a signal of the shape {signal.shape}")
    return names


def _axis(group: Node, key: str, n: int, q_direction: np.ndarray | None) -> tuple[Axis, bool]:
    """The axis, and whether its direction is the user's."""
    node = group.get(key)
    if node is None:
        raise group.error(f"has no values for the axis {key!r}, so that nobody knows where it was measured")
    unit, title = node.attribute("units"), node.attribute("long_name")
    what = f"{node.file}: axis {node.path.strip('/')}"
    found = meaning(key, unit) or meaning(title, unit)
    if found is not None:
        return axis(key, found.kind, node.numbers() * found.factor, n, what, found.direction), False
    if q_direction is not None and may_be_rlu(unit):
        return axis(key, "hkl", node.numbers(), n, what, q_direction), True
    raise node.error(
        f"is called {key!r} in {unit or 'no unit'}, which does not say what it measures. Known are h, k, l, [H,H,0] "
        "and the like, Q in 1/Å for a powder, and energy in meV; for another direction give q_direction, the "
        f"wavevector in r.l.u. of one unit along it, and q_origin: {how('q_direction', 'q_origin')}"
    )


def _check_indices(group: Node, names: list[str]) -> None:
    """Nothing, where no axis says that it runs along another dimension than the signal says."""
    for i, key in enumerate(names):
        stated = group.attrs.get(f"{key}_indices", i)
        if stated not in (i, [i], str(i)):
            raise group.error(
                f"names {key} as axis {i} of its signal, and {key}_indices says {stated}: which of them it is nobody "
                "knows. Correct one of them"
            )


def _sigma(group: Node, signal: Node, errors: str, off: np.ndarray) -> tuple[np.ndarray | None, list[str]]:
    """Standard deviations, by any of the names that NeXus has had for these, and what was assumed of them.

    Pixels that were off have none.
    """
    own = signal.path.rsplit("/", 1)[-1]
    named = [signal.attribute("uncertainties"), group.attribute(f"{own}_errors")]
    for key in [*named, f"{own}_errors", f"{own}_error", "errors", "error", "uncertainties"]:
        node = group.get(key) if key and key != own else None
        if node is None or not node.is_numeric:
            continue
        if node.shape != signal.shape:
            raise node.error(f"has the shape {node.shape} where the signal has {signal.shape}")
        stored = np.where(off, 0.0, node.numbers())
        if negative := int(np.sum(stored < 0)):
            raise node.error(
                f"has {negative} negative {'variances' if errors == 'variance' else 'standard deviations'}"
            )
        sigma, said = standard(stored, errors, key)
        return sigma, [said]
    chosen("errors", errors)
    return None, []
