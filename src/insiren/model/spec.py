"""The model file: TOML, validated, and as an immutable object that can key a compiled function."""

from __future__ import annotations

import difflib
import functools
import hashlib
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from insiren.errors import ModelError
from insiren.forward import Parameter
from insiren.model.cif import resolve_cif
from insiren.model.expansion import Bond, Site, Sites, check_g, expand_anisotropy, expand_bonds, expand_sites
from insiren.model.explain import explained, not_toml
from insiren.model.parameters import Place, check_names, check_units, declared, evaluate, names, scales
from insiren.model.settings import InstrumentTable, ScatteringTable
from insiren.model.tables import (
    NUMBER,
    THREE,
    AnisotropyTable,
    BondTable,
    Cells,
    CrystalTable,
    Matrix,
    Number,
    ParameterTable,
    SiteTable,
    Table,
    Vector,
)
from insiren.model.terms import Terms
from insiren.model.units import UNITS_OF, Use

_FRACTIONS = 1e-6  # of the sum of domain fractions: rounding of thirds typed by hand
MINIMISE = "minimise"  # in place of directions: those of the lowest energy
_COMMENSURATE = 1e-6  # revolutions; 0.333333 counts as a third
_MOST_SPINS = 2000  # of a magnetic cell; H(Q) of so many takes a quarter of a gigabyte a wavevector
_DRAWS = 2  # of all parameters; one already shows what a default of 0 hides


class FieldTable(Table):
    """`[field]`: B in T, Cartesian."""

    B: tuple[Number, Number, Number] = Field(description=f"three components in T along x, y and z, each {NUMBER}")


class StructureTable(Table):
    """`[structure]`: spin directions, Cartesian, or "minimise"; a supercell; one wavevector k with its axis."""

    directions: tuple[Vector, ...] | Literal["minimise"] = Field(
        description='a list with one vector for each spin, such as [[0, 0, 1], [0, 0, -1]], or "minimise"'
    )
    starts: int | None = Field(default=None, ge=1, description="a whole number from 1 on")  # of the minimisation
    seed: int | None = Field(default=None, ge=0, description="a whole number from 0 on")
    k: Vector | None = Field(default=None, description="three numbers in r.l.u., such as [0.5, 0.5, 0]")
    axis: Vector | None = Field(default=None, description=THREE)
    supercell: tuple[int, int, int] | tuple[Cells, Cells, Cells] | None = Field(
        default=None, description="three whole numbers such as [2, 1, 1], or three rows of three whole numbers"
    )

    @model_validator(mode="after")
    def _complete(self) -> StructureTable:
        if (self.k is None) != (self.axis is None):
            raise ValueError("k and axis come together: the spins turn about axis by 2π k·R from cell to cell")
        if self.axis is not None and np.linalg.norm(self.axis) == 0:
            raise ValueError("axis must not be zero")
        if self.directions != MINIMISE:
            if any(np.linalg.norm(n) == 0 for n in self.directions):
                raise ValueError("a direction must not be zero")
            if (self.starts, self.seed) != (None, None):
                raise ValueError('starts and seed belong to directions = "minimise"; leave them out')
        if abs(np.linalg.det(self.cell)) < 0.5:
            raise ValueError("the supercell has no volume")
        if self.k is not None and self.supercell is not None:
            turns = self.cell @ np.array(self.k)
            if np.max(np.abs(turns - np.round(turns))) > _COMMENSURATE:
                raise ValueError(
                    f"k = {self.k} turns the spins by {np.round(turns, 4).tolist()} revolutions along the supercell's "
                    "vectors; these must be whole numbers. Choose another supercell, or leave it out"
                )
        return self

    @property
    def cell(self) -> np.ndarray:
        """Magnetic lattice vectors as rows, in crystal cells, shape (3, 3)."""
        given = np.array((1, 1, 1) if self.supercell is None else self.supercell)
        return np.diag(given) if given.ndim == 1 else given


class Path_(Table):
    """`[paths]`: named points in r.l.u. and the routes through them."""

    points: dict[str, Vector] = Field(default={}, description="three numbers in r.l.u., such as [0.5, 0, 0]")
    routes: dict[str, str] = Field(default={}, description='names of points with blanks between, such as "G X M"')


class Model(Table):
    """A validated magnetic model; equal and hashed by its content.

    Built from a TOML file by `load_model`, or from a dict with the TOML's own keys.
    """

    name: str = Field(default="model", description="a text in quotes")
    summary: str = Field(default="", description="a text in quotes")
    source: str = Field(default="", description="a text in quotes")
    crystal: CrystalTable = Field(description="a table [crystal] with a, b and c in Å, or with cif")
    site: tuple[SiteTable, ...] = Field(
        min_length=1, description="one or more tables [[site]], in double brackets, each with a position and a spin"
    )
    bond: tuple[BondTable, ...] = Field(
        default=(), description="tables [[bond]], in double brackets, each with i, j, offset and exchange"
    )
    anisotropy: tuple[AnisotropyTable, ...] = Field(
        default=(), description="tables [[anisotropy]], in double brackets, each with a site and a matrix"
    )
    field: FieldTable | None = Field(default=None, description="a table [field] with B = [Bx, By, Bz] in T")
    structure: StructureTable = Field(description='a table [structure], with directions = "minimise" for example')
    parameters: dict[str, ParameterTable] = Field(
        default={}, description="a table of the form NAME = { value = 1.0, min = 0.0, max = 2.0 }"
    )
    scattering: ScatteringTable = Field(
        default=ScatteringTable(), description='a table [scattering], with correlation = "perp" for example'
    )
    instrument: InstrumentTable = Field(
        default=InstrumentTable(), description="a table [instrument], with resolution = { constant = 0.5 } for example"
    )
    paths: Path_ = Field(default=Path_(), description="tables [paths.points] and [paths.routes]")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, origin: str = "The model", folder: str | Path = ".") -> Model:
        """A model from a mapping with the keys of the TOML file.

        Args:
            content: the mapping.
            origin: names it in a message.
            folder: where the path of a CIF starts.

        Raises:
            ModelError: names each bad key and the remedy.
        """
        whole = resolve_cif(content, Path(folder))
        try:
            return cls.model_validate(whole)
        except ValidationError as error:
            lines = "\n".join(f"  {line}" for line in explained(error, cls, whole))
            raise ModelError(f"{origin} is not valid:\n{lines}") from None

    @model_validator(mode="after")
    def _consistent(self) -> Model:
        self._check_names()
        try:
            _ = self.sites
            self._check_site_numbers()
            _ = self.bonds, self.single_ion
            check_g(self.site_images, self.site, self._trials())
        except ModelError as error:
            raise ValueError(str(error)) from None
        self._check_directions()
        self._check_scattering()
        return self

    def _check_site_numbers(self) -> None:
        ends = [(f"bond.{n}", b.ends[:2]) for n, b in enumerate(self.bond) if b.ends is not None]
        for what, sites in ends + [(f"anisotropy.{n}", (a.site,)) for n, a in enumerate(self.anisotropy)]:
            if max(sites) >= len(self.sites):
                raise ValueError(f"{what} names site {max(sites)}, but there are {len(self.sites)} (0 is the first)")
        for number, bond in enumerate(self.bond):
            if bond.ends == (bond.i, bond.i, (0, 0, 0)):
                raise ValueError(f"bond.{number} joins site {bond.i} with itself; an on-site term is an [[anisotropy]]")

    def _check_directions(self) -> None:
        crystal = len(self.sites)
        magnetic = crystal * round(abs(np.linalg.det(self.structure.cell)))
        if magnetic > _MOST_SPINS:
            raise ValueError(
                f"structure.supercell makes a magnetic cell of {magnetic:,} spins; at most {_MOST_SPINS:,} can be "
                "computed, so write a smaller one, or describe the order by k and axis"
            )
        if self.structure.directions == MINIMISE:
            return
        given = len(self.structure.directions)
        wanted = crystal if self.structure.k is not None else magnetic
        if given != wanted:
            raise ValueError(f"structure.directions has {given} entries; this structure needs {wanted}, one a site")

    def _check_names(self) -> None:
        places = self._places + self._scattering_places
        check_names(self.parameters, places)
        check_units(self.parameters, places)
        own = {p.name: p.value for p in self.all_parameters if p.name in self.parameters}
        for where, use, expression in places:
            try:
                value = evaluate(expression, self.converted(own, use))
            except ModelError as error:
                raise ValueError(f"{where}: {error}") from None
            if not np.isrealobj(value) or not np.isfinite(value):
                raise ValueError(
                    f"{where}: {expression!r} is {value} at the values in [parameters]; it must be a number"
                )

    def _check_scattering(self) -> None:
        scattering, values = self.scattering, {p.name: p.value for p in self.all_parameters}
        if scattering.form_factor and (bare := [n for n, site in enumerate(self.site) if site.ion is None]):
            raise ValueError(
                f'scattering.form_factor needs the ion of every site; give site.{bare[0]} ion = "Ni2", say'
            )
        if scattering.kf_over_ki and self.instrument.Ei is None:
            raise ValueError("scattering.kf_over_ki needs the incident energy: write Ei = 30.0, say, in [instrument]")
        for where, use, given in self._scattering_places:
            if (value := float(evaluate(given, self.converted(values, use)))) < 0:
                raise ValueError(f"{where} is {value:g} at the values in [parameters]; it must not be negative")
        if scattering.domains:
            total = float(sum(evaluate(d.fraction, values) for d in scattering.domains))
            if abs(total - 1) > _FRACTIONS:
                raise ValueError(f"the fractions of scattering.domains sum to {total:.6g}; they must sum to 1")

    @functools.cached_property
    def _places(self) -> list[Place]:
        """Every number and expression of the Hamiltonian."""
        found: list[Place] = []
        for number, site in enumerate(self.site):
            found += [Place(f"site.{number}.g", "number", x) for x in _entries(site.g)]
        for number, bond in enumerate(self.bond):
            found += [Place(f"bond.{number}.exchange", "energy", x) for x in _entries(bond.exchange)]
            found += [Place(f"bond.{number}.dm", "energy", x) for x in bond.dm or ()]
            for x in ("K", "Gamma", "Gammap") if bond.kitaev is not None else ():
                found.append(Place(f"bond.{number}.kitaev.{x}", "energy", getattr(bond.kitaev, x)))
        for number, term in enumerate(self.anisotropy):
            found += [Place(f"anisotropy.{number}.matrix", "energy", x) for x in _entries(term.matrix)]
        return found + [Place("field.B", "field", x) for x in (self.field.B if self.field else ())]

    @property
    def _scattering_places(self) -> list[Place]:
        scattering = self.scattering
        fractions = [domain.fraction for domain in scattering.domains]
        found = [Place(f"scattering.domains.{n}.fraction", "number", x) for n, x in enumerate(fractions)]
        if scattering.temperature is not None:
            found.append(Place("scattering.temperature", "temperature", scattering.temperature))
        if scattering.damping is not None:
            found.append(Place("scattering.damping", "energy", scattering.damping))
        return found

    @functools.cached_property
    def site_images(self) -> Sites:
        """Every magnetic site of the crystal cell, and how the space group permutes them."""
        return expand_sites(self.crystal, self.site)

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every magnetic site of the crystal cell: each `[[site]]`, followed by its images."""
        return self.site_images.all

    @functools.cached_property
    def bonds(self) -> tuple[Bond, ...]:
        """Every bond of the crystal cell, each physical bond once for a `[[bond]]`."""
        return tuple(expand_bonds(self.site_images, self.bond, self._trials()))

    @functools.cached_property
    def single_ion(self) -> tuple[tuple[int, Terms, np.ndarray], ...]:
        """(site, terms, rotation) of every single-ion term of the crystal cell."""
        return tuple(expand_anisotropy(self.site_images, self.anisotropy, self._trials()))

    def _trials(self) -> list[Mapping[str, Any]]:
        """Values at which the form of a matrix is looked at, in meV: the model's, and some drawn from the box.

        Drawn ones at which an expression has no value do not count.
        """
        rng, found = np.random.default_rng(0), [self.converted({p.name: p.value for p in self.all_parameters})]
        for _ in range(_DRAWS):
            drawn = {p.name: float(rng.uniform(p.min, p.max)) for p in self.all_parameters}
            try:
                numbers = [evaluate(x, self.converted(drawn, use)) for _, use, x in self._places]
            except ModelError:
                continue
            if all(np.isrealobj(x) and np.isfinite(x) for x in numbers):
                found.append(self.converted(drawn))
        return found

    @functools.cached_property
    def all_parameters(self) -> tuple[Parameter, ...]:
        """The parameters of the file in their units, then the instrument's `width` and `q_fwhm` unless declared."""
        return declared(self.parameters, self._places + self._scattering_places)

    @functools.cached_property
    def _scales(self) -> dict[Use, dict[str, float]]:
        return {use: scales(self.all_parameters, use) for use in UNITS_OF}

    def converted(self, params: Mapping[str, Any], use: Use = "energy") -> Mapping[str, Any]:
        """Values by name as expressions take them: energies in meV, whatever unit the file gives them.

        Args:
            params: values in the units of `all_parameters`; JAX follows them.
            use: what the expressions are; in a "temperature" K stays K.
        """
        factors = self._scales[use]
        return params if not factors else {n: x * factors[n] if n in factors else x for n, x in params.items()}

    @functools.cached_property
    def used_names(self) -> frozenset[str]:
        """The parameters on which the Hamiltonian depends."""
        return frozenset().union(*(names(place.expression) for place in self._places))

    @functools.cached_property
    def text(self) -> str:
        """The whole model as canonical JSON, units left out filled in: of this equality and the hash are made."""
        units = {p.name: p.unit for p in self.all_parameters}
        stated = {name: table.model_copy(update={"unit": units[name]}) for name, table in self.parameters.items()}
        return self.model_copy(update={"parameters": stated}).model_dump_json()

    @property
    def digest(self) -> str:
        """A short hash of the content, for provenance."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.text == other.text


def _entries(value: Number | Matrix | None) -> list[Number]:
    if value is None:
        return []
    return [x for row in value for x in row] if isinstance(value, tuple) else [value]


def bundled() -> list[str]:
    """Names of the models that come with the package."""
    folder = resources.files("insiren.model") / "bundled"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def bundled_text(name: str) -> str:
    """The TOML text of a bundled model."""
    return (resources.files("insiren.model") / "bundled" / f"{name}.toml").read_text(encoding="utf-8")


def load_model(name: str | Path) -> Model:
    """A model by its bundled name, or from a TOML file.

    Raises:
        ModelError: neither exists, or the file is not valid; the text names the key.
    """
    path = Path(name)
    if path.is_file():
        text, origin = _read(path), str(path)
    elif str(name) in bundled():
        text, origin = bundled_text(str(name)), f"Bundled model {name}"
    else:
        close = difflib.get_close_matches(str(name), bundled(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ModelError(f"There is no file and no bundled model {str(name)!r}.{hint} Bundled: {', '.join(bundled())}.")
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ModelError(f"{origin} {not_toml(error, text)}") from None
    return Model.from_dict({"name": path.stem, **content}, origin=origin, folder=path.parent)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ModelError(
            f"{path} cannot be read as a model file: {why}. `insiren models --example` prints one to start from."
        ) from None
