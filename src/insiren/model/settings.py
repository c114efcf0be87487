"""The tables of the model file that say how the magnet is looked at: scattering and instrument."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from insiren.model.tables import NUMBER, THREE, Number, Table, Vector

_ORTHOGONAL = 1e-6  # rounding of a matrix typed by hand


class DomainTable(Table):
    """`[[scattering.domains]]`: a twin, turned by a rotation in Cartesian axes, and its share of the crystal."""

    axis: Vector | None = Field(default=None, description=THREE)
    angle: float | None = Field(default=None, description="an angle in degrees")
    rotation: tuple[Vector, Vector, Vector] | None = Field(
        default=None, description="a rotation as three rows of three numbers"
    )
    fraction: Number = Field(description=NUMBER)

    @model_validator(mode="after")
    def _one_way(self) -> DomainTable:
        if (self.rotation is None) == (self.axis is None) or (self.axis is None) != (self.angle is None):
            raise ValueError("give axis and angle (degrees), or rotation as a matrix")
        if self.axis is not None and np.linalg.norm(self.axis) == 0:
            raise ValueError("axis must not be zero")
        if self.rotation is not None:
            R = np.array(self.rotation)
            if np.max(np.abs(R @ R.T - np.eye(3))) > _ORTHOGONAL:
                raise ValueError("rotation must be orthogonal: R Rᵀ = 1")
        return self


class ScatteringTable(Table):
    """`[scattering]`: which correlations the neutron sees, and what multiplies them."""

    correlation: str = Field(
        default="perp",
        pattern=r"^(trace|perp|S(xx|yy|zz)(\+S(xx|yy|zz))*)$",
        description='"perp", "trace" or a sum such as "Sxx+Syy"',
    )
    Zc: float = Field(default=1.0, gt=0, description="a number above 0")
    form_factor: bool = Field(default=False, description="true or false")
    temperature: Number | None = Field(default=None, description=f"{NUMBER}, in K")
    damping: Number | None = Field(default=None, description=f"{NUMBER}, a FWHM in meV")
    line: Literal["lorentzian", "oscillator"] = Field(default="lorentzian", description='"lorentzian" or "oscillator"')
    domains: tuple[DomainTable, ...] = Field(
        default=(), description="a list of tables such as { axis = [0, 0, 1], angle = 90, fraction = 0.5 }"
    )
    powder: bool = Field(default=False, description="true or false")
    kf_over_ki: bool = Field(default=False, description="true or false")


class ResolutionTable(Table):
    """Energy FWHM in meV: a polynomial in the mode's energy (lowest order first), or a constant."""

    polynomial: tuple[float, ...] | None = Field(
        default=None, min_length=1, description="a list of numbers [c0, c1, …], the lowest order first"
    )
    constant: float | None = Field(default=None, gt=0, description="a FWHM in meV above 0")

    @model_validator(mode="after")
    def _one(self) -> ResolutionTable:
        if (self.polynomial is None) == (self.constant is None):
            raise ValueError("give polynomial or constant")
        return self


class IntegrateTable(Table):
    """`[[instrument.integrate]]`: a range of Q along an axis over which the data are averaged."""

    axis: Vector = Field(description=THREE)
    range: tuple[float, float] = Field(description="two numbers in r.l.u., such as [-0.1, 0.1]")

    @model_validator(mode="after")
    def _ordered(self) -> IntegrateTable:
        if np.linalg.norm(self.axis) == 0:
            raise ValueError("axis must not be zero")
        if not self.range[0] < self.range[1]:
            raise ValueError("range must ascend")
        return self


class InstrumentTable(Table):
    """`[instrument]`: incident energy, energy resolution, axes of the Q broadening, ranges of Q averaged over.

    All may be left out where nothing is broadened: bands, structures and lists of peaks need none of it.
    """

    Ei: float | None = Field(default=None, gt=0, description="an energy in meV above 0")
    resolution: str | ResolutionTable | None = Field(
        default=None, description="{ constant = 0.5 } or { polynomial = [c0, c1] } in meV, or an instrument in quotes"
    )
    q_axes: tuple[Vector, ...] = Field(
        default=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), description="a list of vectors in r.l.u., such as [[1, 0, 0]]"
    )
    integrate: tuple[IntegrateTable, ...] = Field(
        default=(), max_length=2, description="one or two tables such as { axis = [0, 0, 1], range = [-0.1, 0.1] }"
    )
    min_angle: float = Field(default=0.0, ge=0, lt=180, description="an angle from 0 to below 180 degrees")
    max_angle: float = Field(default=180.0, gt=0, le=180, description="an angle above 0 and up to 180 degrees")

    @model_validator(mode="after")
    def _ordered(self) -> InstrumentTable:
        if not self.min_angle < self.max_angle:
            raise ValueError("min_angle must lie below max_angle, both in degrees")
        if self.Ei is None and (self.min_angle, self.max_angle) != (0.0, 180.0):
            raise ValueError("scattering angles limit Q only together with Ei; give Ei in meV")
        return self
