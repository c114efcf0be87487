"""The tables of the model file that say what is in the crystal: lattice, sites, bonds, anisotropy, parameters."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import gemmi
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from insiren.model.units import spelt

Number = float | str  # a number, or an expression of parameter names
Vector = tuple[float, float, float]
_Far = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]  # cells; more is a slip, and would overflow
Cells = tuple[_Far, _Far, _Far]
Matrix = tuple[tuple[Number, Number, Number], tuple[Number, Number, Number], tuple[Number, Number, Number]]

NUMBER = 'a number, a parameter or an expression such as "J1/2" in quotes'
MATRIX = f"{NUMBER}, or three rows of three of these"
THREE = "three numbers in brackets, such as [0, 0, 1]"

CRYSTAL_FRAME = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_SMALLEST = 1e-6  # Å³; no crystal is so small, so the angles contradict each other
_RIGHT_ANGLE = 1e-3  # cosine; the axes of a frame are given to a few digits


class Table(BaseModel):
    """A table of the model file: no unknown keys, immutable, finite numbers.

    The description of a field says what may be written there; it ends the message about anything else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    resolved: ClassVar[tuple[str, ...]] = ()  # further keys of the file, replaced before the table is read

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, content: Any) -> Any:
        for key, value in content.items() if isinstance(content, dict) else ():
            field = cls.model_fields.get(str(key))
            if field is not None and isinstance(value, bool) and "bool" not in str(field.annotation):
                raise ValueError(f"{key} = {str(value).lower()} is not allowed; write {field.description}")
        return content


class CrystalTable(Table):
    """`[crystal]`: lattice parameters (Å, degrees) or lattice vectors as rows (Å), and the symmetry.

    The space group is a Hermann–Mauguin symbol or a number; or its operations are given as
    triplets such as "-x,y+1/2,-z", of which generators are enough.
    """

    resolved: ClassVar[tuple[str, ...]] = ("cif",)

    a: float | None = Field(default=None, gt=0, description="a length in Å above 0")
    b: float | None = Field(default=None, gt=0, description="a length in Å above 0")
    c: float | None = Field(default=None, gt=0, description="a length in Å above 0")
    alpha: float = Field(default=90.0, gt=0, lt=180, description="an angle between 0 and 180 degrees")
    beta: float = Field(default=90.0, gt=0, lt=180, description="an angle between 0 and 180 degrees")
    gamma: float = Field(default=90.0, gt=0, lt=180, description="an angle between 0 and 180 degrees")
    vectors: tuple[Vector, Vector, Vector] | None = Field(
        default=None, description="the lattice vectors a, b and c as three rows of three numbers in Å"
    )
    spacegroup: str | int | None = Field(
        default=None, description='a Hermann–Mauguin symbol such as "P n m a", or a number from 1 to 230'
    )
    operations: tuple[str, ...] | None = Field(
        default=None, min_length=1, description='a list of one or more operations such as "-x,y+1/2,-z"'
    )

    @model_validator(mode="after")
    def _one_way(self) -> CrystalTable:
        lengths = [self.a, self.b, self.c]
        if self.vectors is None and None in lengths:
            raise ValueError("give a, b and c in Å, or vectors")
        if self.vectors is not None and lengths != [None, None, None]:
            raise ValueError("give a, b, c or vectors, not both")
        if self.spacegroup is not None and self.operations is not None:
            raise ValueError("give spacegroup or operations, not both")
        vectors = self.lattice_vectors
        if not np.all(np.isfinite(vectors)) or abs(np.linalg.det(vectors)) < _SMALLEST:
            raise ValueError("the lattice has no volume; check its angles or vectors")
        return self

    @property
    def lattice_vectors(self) -> np.ndarray:
        """a, b, c as rows in Å, shape (3, 3); a along x and b in the xy plane unless vectors were given."""
        if self.vectors is not None:
            return np.array(self.vectors)
        assert self.a and self.b and self.c  # checked when the table was read
        cell = gemmi.UnitCell(self.a, self.b, self.c, self.alpha, self.beta, self.gamma)
        return np.array(cell.orth.mat.tolist()).T


class SiteTable(Table):
    """`[[site]]`: one magnetic atom of the crystal cell; with a space group, all its images."""

    resolved: ClassVar[tuple[str, ...]] = ("atom",)

    position: Vector = Field(description="three fractional coordinates, such as [0, 0.5, 0.25]")
    spin: float = Field(gt=0, le=1e6, description="a spin quantum number above 0, such as 0.5 or 2")
    g: float | Matrix = Field(default=2.0, description="a number, or three rows of three numbers or expressions")
    label: str = Field(default="", description='a text in quotes, such as "Ni1"')
    ion: str | None = Field(
        default=None,
        pattern=r"^[A-Z][a-z]?[0-9]$",
        description='an element and its charge as one digit, such as "Ni2" for Ni²⁺',
    )


class KitaevTable(Table):
    """`kitaev`: K SᵞSᵞ + Γ (SᵅSᵝ + SᵝSᵅ) + Γ′ (SᵞSᵅ + SᵅSᵞ + SᵞSᵝ + SᵝSᵞ) on a bond of axis γ.

    The axis is one of those of the frame, whose rows are the directions x, y, z of the spin
    components in the Cartesian frame of the crystal; or a vector in that frame, for K alone.
    """

    K: Number = Field(default=0.0, description=NUMBER)
    Gamma: Number = Field(default=0.0, description=NUMBER)
    Gammap: Number = Field(default=0.0, description=NUMBER)
    axis: Literal["x", "y", "z"] | Vector = Field(description='"x", "y" or "z", or a vector of three numbers')
    frame: tuple[Vector, Vector, Vector] = Field(
        default=CRYSTAL_FRAME, description="the spin axes x, y and z as three rows of three numbers"
    )

    @model_validator(mode="after")
    def _complete(self) -> KitaevTable:
        rows = np.array(self.frame)
        lengths = np.linalg.norm(rows, axis=1)
        if np.any(lengths == 0):
            raise ValueError("an axis of the frame must not be zero")
        unit = rows / lengths[:, None]
        if np.max(np.abs(unit @ unit.T - np.eye(3))) > _RIGHT_ANGLE:
            raise ValueError("the three axes of the frame must be at right angles to each other")
        if not isinstance(self.axis, str):
            if np.linalg.norm(self.axis) == 0:
                raise ValueError("axis must not be zero")
            if (self.Gamma, self.Gammap) != (0.0, 0.0):
                raise ValueError("Gamma and Gammap need all three axes: give the frame, and axis as x, y or z")
        return self


class BondTable(Table):
    """`[[bond]]`: one bond (i, j, offset), all bonds equivalent to it, or all of one length.

    A bond goes from site i in a cell to site j in the cell `offset` further on. Its exchange is
    the sum of `exchange`, of D·(Sᵢ × Sⱼ) for `dm` = D, and of `kitaev`.
    """

    i: int | None = Field(default=None, ge=0, description="the number of a site, 0 for the first")
    j: int | None = Field(default=None, ge=0, description="the number of a site, 0 for the first")
    offset: Cells | None = Field(default=None, description="three whole numbers of cells, such as [1, 0, 0]")
    exchange: Number | Matrix | None = Field(default=None, description=MATRIX)
    dm: tuple[Number, Number, Number] | None = Field(
        default=None, description='three numbers, parameters or expressions, such as [0, 0, "D"]'
    )
    kitaev: KitaevTable | None = Field(default=None, description='a table such as { K = "K", axis = "z" }')
    symmetry: bool | None = Field(default=None, description="true or false")
    shell: int | None = Field(default=None, ge=1, description="a whole number from 1, the shortest distance, on")
    distance: float | None = Field(default=None, gt=0, description="a length in Å above 0")
    tolerance: float | None = Field(default=None, gt=0, description="a length in Å above 0")
    between: tuple[str, str] | None = Field(default=None, description='two labels of sites, such as ["Mn", "Fe"]')

    @model_validator(mode="after")
    def _one_way(self) -> BondTable:
        ends = [self.i is not None, self.j is not None, self.offset is not None]
        ways = [any(ends), self.shell is not None, self.distance is not None]
        if sum(ways) != 1:
            raise ValueError("say which bonds in one way: i, j and offset, or shell, or distance")
        if any(ends) and not all(ends):
            raise ValueError("i, j and offset come together")
        if any(ends) and (self.between is not None or self.tolerance is not None):
            raise ValueError("between and tolerance belong to shell or distance, not to i, j and offset")
        if not any(ends) and self.symmetry is not None:
            raise ValueError("symmetry belongs to a bond given by i, j and offset; shell and distance take all bonds")
        if self.exchange is None and self.dm is None and self.kitaev is None:
            raise ValueError('give exchange = "J", say, or dm or kitaev')
        return self

    @property
    def ends(self) -> tuple[int, int, Cells] | None:
        """(i, j, offset), or None where bonds are taken by their length."""
        if self.i is None or self.j is None or self.offset is None:
            return None
        return self.i, self.j, self.offset


class AnisotropyTable(Table):
    """`[[anisotropy]]`: a single-ion term SᵀAS, carried on to the site's images by the space group."""

    site: int = Field(ge=0, description="the number of a site, 0 for the first")
    matrix: Matrix = Field(description='three rows of three numbers or expressions, the last [0, 0, "D"] for example')
    symmetry: bool | None = Field(default=None, description="true or false")


class ParameterTable(Table):
    """`[parameters]`: NAME = {value, min, max, unit, free, label}.

    Without a unit it has that of its use: meV, T in a field, K as a temperature.
    """

    value: float = Field(description="a number")
    min: float = Field(description="a number, the lower bound")
    max: float = Field(description="a number, the upper bound")
    unit: str | None = Field(default=None, description='a unit in quotes, such as "meV"')
    free: bool = Field(default=True, description="true or false")
    label: str = Field(default="", description='a text in quotes, such as "J_1"')

    @field_validator("unit")
    @classmethod
    def _known(cls, unit: str | None) -> str | None:
        return None if unit is None else spelt(unit)

    @model_validator(mode="after")
    def _ordered(self) -> ParameterTable:
        if not self.min < self.max:
            raise ValueError(f"min = {self.min} must lie below max = {self.max}")
        if not self.min <= self.value <= self.max:
            raise ValueError(f"value = {self.value} lies outside {self.min} … {self.max}")
        return self
