"""Lattice and reciprocal lattice, and routes through reciprocal space."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from insiren.errors import ModelError
from insiren.model.allowed import AllowedForm
from insiren.model.spec import Model

_LONGEST = 1_000_000  # wavevectors of a route


@dataclasses.dataclass(frozen=True, eq=False)
class Lattice:
    """A crystal lattice, a along x and b in the xy plane unless vectors were given.

    Attributes:
        vectors: a, b, c as rows in Å, shape (3, 3).
        reciprocal: a*, b*, c* as rows in 1/Å with the factor 2π, shape (3, 3).
    """

    vectors: np.ndarray
    reciprocal: np.ndarray


@functools.lru_cache(maxsize=64)
def lattice(model: Model) -> Lattice:
    """The crystal lattice of a model."""
    vectors = model.crystal.lattice_vectors
    return Lattice(vectors, 2 * np.pi * np.linalg.inv(vectors).T)


def to_inverse_angstrom(model: Model, hkl: Float[Array, "q 3"]) -> Float[Array, "q 3"]:
    """Cartesian Q in 1/Å of wavevectors in r.l.u."""
    return hkl @ lattice(model).reciprocal


def allowed_form(model: Model, bond: int | tuple[int, int, tuple[int, int, int]]) -> AllowedForm:
    """The exchange matrices that the space group allows on a bond; all of them without a space group.

    Args:
        model: the magnet.
        bond: the number of a `[[bond]]`, or (i, j, offset) on the sites of `Model.sites`.

    Returns:
        The free matrices, Cartesian, the form in letters such as "[[A, D, 0], [-D, A, 0], [0, 0, B]]",
        and what is left of the DM vector. For a `[[bond]]` of a shell, those of its first bond,
        on which the matrix acts as it is written.

    Raises:
        ModelError: there is no such bond.
    """
    if isinstance(bond, int):
        found = [b for b in model.bonds if b.declared == bond]
        if not found:
            raise ModelError(f"{model.name} has no [[bond]] {bond}; there are {len(model.bond)} (0 is the first).")
        return model.site_images.form_of_bond((found[0].i, found[0].j, found[0].offset))
    i, j, _ = bond
    if not (0 <= i < len(model.sites) and 0 <= j < len(model.sites)):
        raise ModelError(f"The bond {bond} names a site that {model.name} lacks; it has {len(model.sites)}.")
    return model.site_images.form_of_bond(bond)


def inventory(model: Model) -> dict[str, list[dict[str, Any]]]:
    """What a model holds once symmetry has done its work, for listing.

    Returns:
        "sites", each with its number, label, position, spin and the `[[site]]` it comes from; and
        "bonds", one entry a `[[bond]]`: the first bond of its set, on which the matrix acts as it is
        written, the number of bonds, the length in Å, and the form that the symmetry of the bond
        allows where there is a space group.
    """
    sites = [
        {"site": n, "label": s.label, "position": list(s.position), "spin": s.spin, "declared": s.declared}
        for n, s in enumerate(model.sites)
    ]
    bonds = []
    for number in range(len(model.bond)):
        same = [b for b in model.bonds if b.declared == number]
        first = same[0]
        form = None if model.site_images.images is None else allowed_form(model, number)
        bonds.append({
            "bond": number, "i": first.i, "j": first.j, "offset": list(first.offset), "count": len(same),
            "length": model.site_images.length((first.i, first.j, first.offset)),
            "allowed": form and form.text, "dm": form and form.dm,
        })  # fmt: skip
    return {"sites": sites, "bonds": bonds}


def route(model: Model, text: str, spacing: float = 0.01) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Wavevectors along a route such as "P M X": named points of the model or "h,k,l".

    Args:
        text: a named route of the model, or points separated by spaces.
        spacing: distance of neighbouring wavevectors in r.l.u., at most.

    Returns:
        Wavevectors in r.l.u., shape (q, 3), and the (index, name) of each corner.
    """
    words = model.paths.routes.get(text, text).split()
    corners = [_point(model, word) for word in words]
    if len(corners) < 2:
        raise ModelError(f"A route needs at least two points; {text!r} names {len(corners)}.")
    pieces, marks, total = [corners[0][None]], [(0, words[0])], 0
    for word, start, end in zip(words[1:], corners[:-1], corners[1:], strict=True):
        steps = max(1, int(np.ceil(np.linalg.norm(end - start) / spacing)))
        if total + steps > _LONGEST:
            raise ModelError(f"The route {text!r} is too long: {total + steps:,} wavevectors, of {_LONGEST:,} at most.")
        pieces.append(start + (end - start) * np.arange(1, steps + 1)[:, None] / steps)
        total += steps
        marks.append((total, word))
    return np.concatenate(pieces), marks


def _point(model: Model, word: str) -> np.ndarray:
    if word in model.paths.points:
        return np.array(model.paths.points[word])
    try:
        h, k, l = (float(x) for x in word.split(","))
        if not np.all(np.isfinite([h, k, l])):
            raise ValueError
    except ValueError:
        known = ", ".join(model.paths.points) or "none"
        raise ModelError(f"{word!r} is neither h,k,l nor a named point of {model.name} ({known}).") from None
    return np.array([h, k, l])
