"""The domains of a sample: how each is turned, and the magnet that each one is in the field of the laboratory."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from insiren.model.cell import rotation
from insiren.model.crystal import lattice
from insiren.model.parameters import evaluate
from insiren.model.settings import DomainTable
from insiren.model.spec import Model
from insiren.model.tables import Number

_SAME = 1e-9  # of the field; closer than this it is the same one, whatever a rotation typed by hand has lost
_DRAWS = 2  # of all parameters, so that no special value makes two fields equal


@dataclasses.dataclass(frozen=True, eq=False)
class Domain:
    """One orientation of the crystal in the sample.

    Attributes:
        model: the magnet in the crystal's own axes. The field stays in the laboratory, so that a domain sees it turned
            back; where that is the same field, this is the model that lists the domains.
        hkl: takes wavevectors of the sample to those of the domain, both in r.l.u., shape (3, 3).
        rotation: from the domain's Cartesian axes to the sample's, shape (3, 3).
        fraction: share of the crystal, a number or an expression.
    """

    model: Model
    hkl: np.ndarray
    rotation: np.ndarray
    fraction: float | str


@functools.lru_cache(maxsize=64)
def domains(model: Model) -> tuple[Domain, ...]:
    """The domains of a model; one, as it stands, unless it lists them."""
    to_Q = lattice(model).reciprocal.T
    found: list[Domain] = []
    for number, table in enumerate(model.scattering.domains):
        R = _rotation(table)
        # 1e-12: a right angle is exact, so that wavevectors on a Goldstone point stay there
        hkl = np.round(np.linalg.inv(to_Q) @ R.T @ to_Q, 12)
        name = f"scattering.domains.{number} of {model.name} ({_name(table)})"
        magnet = _in_field(model, R, name, [one.model for one in found])
        found.append(Domain(magnet, hkl, np.round(R, 15), table.fraction))
    return tuple(found) or (Domain(model, np.eye(3), np.eye(3), 1.0),)


def domain_models(model: Model) -> tuple[Model, ...]:
    """The magnets of a sample with different Hamiltonians: one, unless its domains see different fields."""
    return tuple(dict.fromkeys(domain.model for domain in domains(model)))


def _rotation(table: DomainTable) -> np.ndarray:
    if table.axis is not None and table.angle is not None:
        return rotation(np.array(table.axis) / np.linalg.norm(table.axis), np.radians(table.angle))
    return np.array(table.rotation)


def _name(table: DomainTable) -> str:
    if table.axis is not None and table.angle is not None:
        return f"turned by {table.angle:g}° about [{', '.join(f'{x:g}' for x in table.axis)}]"
    rows = ("[" + ", ".join(f"{x:g}" for x in row) + "]" for row in table.rotation or ())
    return f"rotation = [{', '.join(rows)}]"


def _in_field(model: Model, R: np.ndarray, name: str, others: list[Model]) -> Model:
    """The magnet of a domain: the first of the model itself and the others that sees the same field."""
    if model.field is None:
        return model
    seen = _combined(np.linalg.det(R) * R.T, model.field.B)  # a mirror turns the field around, being an axial vector
    for one in (model, *others):
        if one.field is not None and _equal(model, seen, one.field.B):
            return one
    content = model.model_dump(exclude_none=True)  # what is cached of a model must not go along
    scattering = content["scattering"] | {"domains": ()}
    return Model.from_dict(content | {"name": name, "field": {"B": seen}, "scattering": scattering})


def _combined(matrix: np.ndarray, B: tuple[Number, Number, Number]) -> tuple[Number, Number, Number]:
    """The field M B, a number where it is one, otherwise an expression of the parameters."""
    found: list[Number] = []
    for row in np.round(matrix, 15):
        terms = [(float(c), x) for c, x in zip(row, B, strict=True) if c != 0 and x != 0]
        if any(isinstance(x, str) for _, x in terms):
            found.append(" + ".join(f"({c!r})*({x})" for c, x in terms))
        else:
            found.append(sum(c * float(x) for c, x in terms))
    return found[0], found[1], found[2]


def _equal(model: Model, one: tuple[Number, ...], other: tuple[Number, ...]) -> bool:
    rng = np.random.default_rng(0)
    for _ in range(_DRAWS):
        values = {p.name: float(rng.uniform(0.5, 1.5)) for p in model.all_parameters}
        a, b = (np.array([float(evaluate(x, values)) for x in B]) for B in (one, other))
        if not np.max(np.abs(a - b)) <= _SAME * np.max(np.abs(a)):
            return False
    return True
