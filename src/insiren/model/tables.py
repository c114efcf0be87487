"""The tables of the model file that say what is in the crystal: lattice, sites, bonds, anisotropy."""

from __future__ import annotations

from typing import ClassVar, Literal

import gemmi
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Number = float | str  # a number, or an expression of parameter names
Vector = tuple[float, float, float]
Cells = tuple[int, int, int]
Matrix = tuple[tuple[Number, Number, Number], tuple[Number, Number, Number], tuple[Number, Number, Number]]

_RIGHT_ANGLE = 1e-3  # cosine; the axes of a frame are given to a few digits


class Table(BaseModel):
    """A table of the model file: no unknown keys, immutable, finite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    resolved: ClassVar[tuple[str, ...]] = ()  # further keys of the file, replaced before the table is read


class CrystalTable(Table):
    """`[crystal]`: lattice parameters (Å, degrees) or lattice vectors as rows (Å), and the symmetry.

    The space group is a Hermann–Mauguin symbol or a number; or its operations are given as
    triplets such as "-x,y+1/2,-z", of which generators are enough.
    """

    resolved: ClassVar[tuple[str, ...]] = ("cif",)

    a: float | None = Field(default=None, gt=0)
    b: float | None = Field(default=None, gt=0)
    c: float | None = Field(default=None, gt=0)
    alpha: float = Field(default=90.0, gt=0, lt=180)
    beta: float = Field(default=90.0, gt=0, lt=180)
    gamma: float = Field(default=90.0, gt=0, lt=180)
    vectors: tuple[Vector, Vector, Vector] | None = None
    spacegroup: str | int | None = None
    operations: tuple[str, ...] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_way(self) -> CrystalTable:
        lengths = [self.a, self.b, self.c]
        if self.vectors is None and None in lengths:
            raise ValueError("give a, b and c in Å, or vectors")
        if self.vectors is not None and lengths != [None, None, None]:
            raise ValueError("give a, b, c or vectors, not both")
        if self.spacegroup is not None and self.operations is not None:
            raise ValueError("give spacegroup or operations, not both")
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

    position: Vector
    spin: float = Field(gt=0)
    g: float | Matrix = 2.0
    label: str = ""
    ion: str | None = Field(default=None, pattern=r"^[A-Z][a-z]?[0-9]$")


class KitaevTable(Table):
    """`kitaev`: K SᵞSᵞ + Γ (SᵅSᵝ + SᵝSᵅ) + Γ′ (SᵞSᵅ + SᵅSᵞ + SᵞSᵝ + SᵝSᵞ) on a bond of axis γ.

    The axis is one of those of the frame, whose rows are the directions x, y, z of the spin
    components in the Cartesian frame of the crystal; or a vector in that frame, for K alone.
    """

    K: Number = 0.0
    Gamma: Number = 0.0
    Gammap: Number = 0.0
    axis: Literal["x", "y", "z"] | Vector
    frame: tuple[Vector, Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

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

    i: int | None = Field(default=None, ge=0)
    j: int | None = Field(default=None, ge=0)
    offset: Cells | None = None
    exchange: Number | Matrix | None = None
    dm: tuple[Number, Number, Number] | None = None
    kitaev: KitaevTable | None = None
    symmetry: bool | None = None
    shell: int | None = Field(default=None, ge=1)
    distance: float | None = Field(default=None, gt=0)
    tolerance: float | None = Field(default=None, gt=0)
    between: tuple[str, str] | None = None

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
            raise ValueError("give exchange, dm or kitaev")
        return self

    @property
    def ends(self) -> tuple[int, int, Cells] | None:
        """(i, j, offset), or None where bonds are taken by their length."""
        if self.i is None or self.j is None or self.offset is None:
            return None
        return self.i, self.j, self.offset


class AnisotropyTable(Table):
    """`[[anisotropy]]`: a single-ion term SᵀAS, carried on to the site's images by the space group."""

    site: int = Field(ge=0)
    matrix: Matrix
    symmetry: bool | None = None
