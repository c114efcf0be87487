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
from insiren.model.parameters import evaluate, is_name, names
from insiren.model.settings import DomainTable, InstrumentTable, IntegrateTable, ResolutionTable, ScatteringTable
from insiren.model.tables import (
    AnisotropyTable,
    BondTable,
    Cells,
    CrystalTable,
    KitaevTable,
    Matrix,
    Number,
    SiteTable,
    Table,
    Vector,
)
from insiren.model.terms import Terms

_FRACTIONS = 1e-6  # of the sum of domain fractions: rounding of thirds typed by hand
MINIMISE = "minimise"  # in place of directions: those of the lowest energy
_COMMENSURATE = 1e-6  # revolutions; 0.333333 counts as a third
_DRAWS = 2  # of all parameters; one already shows what a default of 0 hides


class FieldTable(Table):
    """`[field]`: B in T, Cartesian."""

    B: tuple[Number, Number, Number]


class StructureTable(Table):
    """`[structure]`: spin directions, Cartesian, or "minimise"; a supercell; one wavevector k with its axis."""

    directions: tuple[Vector, ...] | Literal["minimise"]
    starts: int | None = Field(default=None, ge=1)  # of the minimisation
    seed: int | None = Field(default=None, ge=0)
    k: Vector | None = None
    axis: Vector | None = None
    supercell: tuple[int, int, int] | tuple[Cells, Cells, Cells] | None = None

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


class ParameterTable(Table):
    """`[parameters]`: NAME = {value, min, max, unit, free, label}."""

    value: float
    min: float
    max: float
    unit: str = "meV"
    free: bool = True
    label: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> ParameterTable:
        if not self.min < self.max:
            raise ValueError(f"min = {self.min} must lie below max = {self.max}")
        if not self.min <= self.value <= self.max:
            raise ValueError(f"value = {self.value} lies outside {self.min} … {self.max}")
        return self


class Path_(Table):
    """`[paths]`: named points in r.l.u. and the routes through them."""

    points: dict[str, Vector] = Field(default={})
    routes: dict[str, str] = Field(default={})


class Model(Table):
    """A validated magnetic model; equal and hashed by its content.

    Built from a TOML file by `load_model`, or from a dict with the TOML's own keys.
    """

    name: str = "model"
    summary: str = ""
    source: str = ""
    crystal: CrystalTable
    site: tuple[SiteTable, ...] = Field(min_length=1)
    bond: tuple[BondTable, ...] = ()
    anisotropy: tuple[AnisotropyTable, ...] = ()
    field: FieldTable | None = None
    structure: StructureTable
    parameters: dict[str, ParameterTable] = Field(default={})
    scattering: ScatteringTable = ScatteringTable()
    instrument: InstrumentTable
    paths: Path_ = Path_()

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
        try:
            return cls.model_validate(resolve_cif(content, Path(folder)))
        except ValidationError as error:
            lines = "\n".join(f"  {_explain(item)}" for item in error.errors())
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
        if self.structure.directions == MINIMISE:
            return
        given, crystal = len(self.structure.directions), len(self.sites)
        magnetic = crystal * round(abs(np.linalg.det(self.structure.cell)))
        wanted = crystal if self.structure.k is not None else magnetic
        if given != wanted:
            raise ValueError(f"structure.directions has {given} entries; this structure needs {wanted}, one a site")

    def _check_names(self) -> None:
        for name in self.parameters:
            if not is_name(name):
                raise ValueError(f"parameters.{name}: a name has letters, digits and _, and is no function or constant")
        values = {p.name: p.value for p in self.all_parameters}
        for where, expression in self._expressions() + self._scattering_expressions():
            try:
                value = evaluate(expression, values)
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
            raise ValueError("scattering.kf_over_ki needs instrument.Ei in meV")
        for key in ("temperature", "damping"):
            if (given := getattr(scattering, key)) is not None and evaluate(given, values) < 0:
                raise ValueError(f"scattering.{key} is negative at the values in [parameters]")
        if scattering.domains:
            total = float(sum(evaluate(d.fraction, values) for d in scattering.domains))
            if abs(total - 1) > _FRACTIONS:
                raise ValueError(f"the fractions of scattering.domains sum to {total:.6g}; they must sum to 1")

    def _expressions(self) -> list[tuple[str, Number]]:
        found: list[tuple[str, Number]] = []
        for number, site in enumerate(self.site):
            found += [(f"site.{number}.g", x) for x in _entries(site.g)]
        for number, bond in enumerate(self.bond):
            found += [(f"bond.{number}.exchange", x) for x in _entries(bond.exchange)]
            found += [(f"bond.{number}.dm", x) for x in bond.dm or ()]
            if bond.kitaev is not None:
                found += [(f"bond.{number}.kitaev.{x}", getattr(bond.kitaev, x)) for x in ("K", "Gamma", "Gammap")]
        for number, term in enumerate(self.anisotropy):
            found += [(f"anisotropy.{number}.matrix", x) for x in _entries(term.matrix)]
        found += [("field.B", x) for x in (self.field.B if self.field else ())]
        return found

    def _scattering_expressions(self) -> list[tuple[str, Number]]:
        given = {"scattering.temperature": self.scattering.temperature, "scattering.damping": self.scattering.damping}
        found = [(where, x) for where, x in given.items() if x is not None]
        return found + [(f"scattering.domains.{n}.fraction", d.fraction) for n, d in enumerate(self.scattering.domains)]

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

    def _trials(self) -> list[dict[str, float]]:
        """Values at which the form of a matrix is looked at: the model's, and some drawn from the box.

        Drawn ones at which an expression has no value do not count.
        """
        rng, found = np.random.default_rng(0), [{p.name: p.value for p in self.all_parameters}]
        for _ in range(_DRAWS):
            drawn = {p.name: float(rng.uniform(p.min, p.max)) for p in self.all_parameters}
            try:
                numbers = [evaluate(x, drawn) for _, x in self._expressions()]
            except ModelError:
                continue
            if all(np.isrealobj(x) and np.isfinite(x) for x in numbers):
                found.append(drawn)
        return found

    @functools.cached_property
    def all_parameters(self) -> tuple[Parameter, ...]:
        """The parameters of the file, then the instrument's `width` and `q_fwhm` unless declared."""
        declared = tuple(
            Parameter(name, p.value, p.min, p.max, p.unit, p.free, p.label or name)
            for name, p in self.parameters.items()
        )
        return declared + tuple(p for p in _INSTRUMENT_PARAMETERS if p.name not in self.parameters)

    @functools.cached_property
    def used_names(self) -> frozenset[str]:
        """The parameters on which the Hamiltonian depends."""
        return frozenset().union(*(names(x) for _, x in self._expressions()))

    @functools.cached_property
    def text(self) -> str:
        """The whole model as canonical JSON: what equality and the hash are made of."""
        return self.model_dump_json()

    @property
    def digest(self) -> str:
        """A short hash of the content, for provenance."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.text == other.text


_INSTRUMENT_PARAMETERS = (
    Parameter("width", 1.0, 0.3, 3.0, "", False, "width"),
    Parameter("q_fwhm", 0.0, 0.0, 0.2, "r.l.u.", False, r"q_{\mathrm{fwhm}}"),
)


def _entries(value: Number | Matrix | None) -> list[Number]:
    if value is None:
        return []
    return [x for row in value for x in row] if isinstance(value, tuple) else [value]


def _explain(item: Any) -> str:
    """One line of a validation error: the key, what is wrong, what to do."""
    key = ".".join(str(part) for part in item["loc"]) or "file"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        table: Any = Model
        for part in item["loc"][:-1]:
            table = _TABLES.get(part, table) if isinstance(part, str) else table
        close = difflib.get_close_matches(str(item["loc"][-1]), (*table.model_fields, *table.resolved), n=1)
        known = ", ".join((*table.model_fields, *table.resolved))
        return f"{key}: unknown key" + (f"; did you mean {close[0]!r}?" if close else "") + f" Known here: {known}."
    if item["type"] == "missing":
        return f"{key}: this key is needed and missing."
    return f"{key}: {message} (got {str(item['input'])[:60]})." if key != "file" else f"{message.rstrip('.')}."


_TABLES: dict[str, type[Table]] = {
    "crystal": CrystalTable,
    "site": SiteTable,
    "bond": BondTable,
    "kitaev": KitaevTable,
    "anisotropy": AnisotropyTable,
    "field": FieldTable,
    "structure": StructureTable,
    "parameters": ParameterTable,
    "scattering": ScatteringTable,
    "instrument": InstrumentTable,
    "resolution": ResolutionTable,
    "domains": DomainTable,
    "integrate": IntegrateTable,
    "paths": Path_,
}


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
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{origin} is not valid TOML: {error}.") from None
    return Model.from_dict({"name": path.stem, **content}, origin=origin, folder=path.parent)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read as a model file: {error}.") from None
