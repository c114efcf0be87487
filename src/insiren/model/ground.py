"""The magnetic structure of lowest classical energy, by descents from many random ones.

Each start draws every spin evenly over the sphere and descends. The lowest end is polished until no
spin feels a torque, and turned to one agreed orientation where the Hamiltonian leaves that free.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float, Int

from insiren.errors import ModelError, UnstableStructure
from insiren.forward import Parameters, complete
from insiren.model.cell import Cell, cell_of
from insiren.model.energy import EnergyForm, energy_form, listed_form, quadratic, relative_torque
from insiren.model.frame import require_turning_symmetry
from insiren.model.orient import invariant_axes, oriented
from insiren.model.relax import SOFT, Search, descended, energy_of, polished, slope_of, soft_directions, tangents_of
from insiren.model.spec import Model

STARTS = 32
TORQUE = 1e-8  # of the largest local field; simulations ask for 1e-4
_SAME = 1e-8  # of the coupling a spin; energies closer than this are one minimum
_ROUNDING = 1e-9  # of the coupling
_NEAR_HALF = 1e-3  # r.l.u.; how far the end of a search may lie from where it should, at a quartic minimum
_LARGEST = 1e100  # meV; squares of larger numbers overflow
_GENERIC_K = np.array([np.sqrt(2) - 1, np.sqrt(3) - 1, np.sqrt(5) - 2])  # turns like no special k

Progress = Callable[[str, float], None]


@dataclasses.dataclass(frozen=True, eq=False)
class GroundState:
    """The magnetic structure of lowest classical energy that was found.

    Attributes:
        energy: meV per crystal cell.
        torque: the largest on a spin, relative to the largest local field.
        directions: unit vectors, Cartesian, in the order of `structure.directions`, shape (l, 3).
        k: wavevector of the rotating frame in r.l.u., or None.
        energies: distinct energies at which descents ended, ascending, meV per crystal cell, shape (e,).
        counts: how many of the starts ended at each, shape (e,).
        soft: ways of turning spins against each other that cost nothing to second order.
        turns: number of axes about which the Hamiltonian lets all spins turn together: 0, 1 or 3.
        model: the model with these directions in its structure.
    """

    energy: float
    torque: float
    directions: Float[np.ndarray, "l 3"]
    k: Float[np.ndarray, "3"] | None
    energies: Float[np.ndarray, " e"]
    counts: Int[np.ndarray, " e"]
    soft: int
    turns: int
    model: Model

    @property
    def starts(self) -> int:
        """How many descents there were."""
        return int(self.counts.sum())

    @property
    def reached(self) -> int:
        """How many of them ended at the lowest energy."""
        return int(self.counts[0])

    def describe(self) -> str:
        """What was found, in sentences."""
        said = [f"{self.energy:.8g} meV per crystal cell, reached by {self.reached} of {self.starts} starts."]
        if len(self.energies) > 1:
            shown = [f"{E:.8g} ({n})" for E, n in zip(self.energies[1:6], self.counts[1:6], strict=True)]
            more = f" and {len(self.energies) - 6} more" if len(self.energies) > 6 else ""
            said.append(f"Other ends, in meV: {', '.join(shown)}{more}.")
        said.append(f"The largest torque is {self.torque:.1e} of the largest local field.")
        if self.turns:
            axes = "any axis" if self.turns == 3 else "one axis"
            said.append(f"All spins may turn together about {axes} at no cost; one orientation was agreed on.")
        if self.soft:
            ways = f"{self.soft} {'way' if self.soft == 1 else 'ways'}"
            said.append(
                f"Free of cost to second order: {ways} of turning spins against each other. This is one of many such "
                "structures."
            )
        if self.reached == 1 and self.starts > 1:
            said.append("Only one start came here; more starts may find a lower energy.")
        return "\n".join(said)

    def toml(self) -> str:
        """The `[structure]` table of a model file that holds these directions."""
        table = self.model.structure
        lines = ["[structure]", "directions = [", *(f"    {_row(n)}," for n in self.directions), "]"]
        for key in ("k", "axis"):
            value = getattr(table, key)
            if value is not None:
                lines.append(f"{key} = {_row(value)}")
        if table.supercell is not None:
            rows = [list(row) if isinstance(row, tuple) else row for row in table.supercell]
            lines.append(f"supercell = {rows}")
        return "\n".join(lines) + "\n"


def _row(vector: np.ndarray | tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{round(float(x), 11) + 0.0:.11g}" for x in vector) + "]"  # no -0


def minimise_energy(
    model: Model,
    params: Parameters | None = None,
    starts: int = STARTS,
    seed: int = 0,
    progress: Progress = lambda stage, fraction: None,
    free_k: bool = False,
) -> GroundState:
    """The magnetic structure of lowest classical energy in the cell that the model names.

    The supercell, or k with its axis, is taken from `[structure]`; its directions are not. With k
    and a supercell one direction a crystal site is sought, which k then turns from cell to cell.

    Args:
        model: the magnet.
        params: values by name; those left out take the model's.
        starts: descents from random structures.
        seed: of those; the same seed finds the same structure.
        progress: told the stage and the fraction of it that is done.
        free_k: whether the components of k along which bonds reach are sought too. A half or a whole number is
            exact where the energy there is the same within 10⁻⁸ of the largest coupling.

    Returns:
        The structure, how surely it was found, and the model with it filled in. A lower energy in a larger
        cell, or at another k, is not excluded: H(Q) over the zone, which every simulation looks at, tells.

    Raises:
        ModelError: the couplings do not allow a rotating frame, or a free k has none.
        UnstableStructure: there is no coupling, or a torque remains; the text says what to do.
    """
    if starts < 1:
        raise ModelError(f"starts = {starts}: a search needs at least one start (--starts).")
    cell = cell_of(model)
    with jax.ensure_compile_time_eval():  # a compiled function may ask for the structure while it is traced
        form = energy_form(model, complete(model.all_parameters, params or {}))
    form = form._replace(**{name: np.asarray(getattr(form, name)) for name in ("exchange", "onsite", "field")})
    search = _search(model, form, cell, free_k)
    ends = _descents(search, starts, seed, progress)
    axes = _free_axes(search, form, ends[0][2])
    n, k, soft = _settled(search, ends, axes)
    torque = relative_torque(form, np.einsum("sab,sb->sa", cell.turned, n[cell.listed]), k)
    _require_no_torque(model, torque)
    energies, counts = _distinct(search, np.array([end[0] for end in ends]))
    energies[0] = energy = energy_of(search, n, k)
    held = None if cell.k is None else k
    return GroundState(energy, torque, n, held, energies, counts, soft, len(axes), _filled(model, n, held))


def _search(model: Model, form: EnergyForm, cell: Cell, free_k: bool) -> Search:
    scale = max(float(np.max(np.abs(x), initial=0.0)) for x in (form.exchange, form.onsite, form.field))
    if not 0 < scale < _LARGEST:
        raise UnstableStructure(
            f"The largest coupling of {model.name} is {scale:g} meV at these values, so that no structure has a lower "
            "energy than another. Give a bond, an anisotropy or a field that is neither zero nor beyond all measure."
        )
    if free_k and cell.k is None:
        raise ModelError(
            "A free k (--free-k) needs a rotating frame: give k and axis in [structure], and no supercell."
        )
    require_turning_symmetry(model, dataclasses.replace(cell, k=_GENERIC_K) if free_k else cell)
    reach = np.abs(form.shift).max(axis=0, initial=0.0) > 0
    form = listed_form(form, cell)
    form = form._replace(exchange=form.exchange / scale, onsite=form.onsite / scale, field=form.field / scale)
    held = np.zeros(3) if cell.k is None else cell.k
    return Search(form, held, tuple(np.flatnonzero(reach & free_k).tolist()), scale, quadratic(form, held))


def _free_axes(search: Search, form: EnergyForm, k: np.ndarray) -> Float[np.ndarray, "a 3"]:
    """Axes about which the listed directions may turn together and every spin of the magnetic cell too."""
    every = search._replace(form=form, fixed=quadratic(form, search.held))
    forms = ((search, 1.0), (every, search.scale))

    def torque(n: np.ndarray, one: Search, unit: float) -> np.ndarray:
        return np.cross(n, slope_of(one, n, k)[1]).sum(axis=0) / unit

    torques = [(functools.partial(torque, one=one, unit=unit), len(one.form.field)) for one, unit in forms]
    return invariant_axes(torques, _ROUNDING)


def _descents(search: Search, starts: int, seed: int, progress: Progress) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Where descents from random structures end: energy in meV per crystal cell, directions, k; the lowest first."""
    rng, ends = np.random.default_rng(seed), []
    for start in range(starts):
        x = rng.standard_normal((len(search.form.field), 3))  # its direction is even over the sphere
        drawn = search.held if start == 0 else rng.uniform(size=3)
        ends.append(descended(search, x, np.where(search.moving, drawn, search.held)))
        progress("minimise", (start + 1) / starts)
    return sorted(ends, key=lambda end: end[0])


def _settled(
    search: Search, ends: list[tuple[float, np.ndarray, np.ndarray]], axes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """The lowest end, polished and oriented, and its number of soft directions.

    Of several with the lowest energy, such as domains, the one whose numbers come last in order.
    """
    lowest = [end for end in ends if end[0] - ends[0][0] <= _same(search)]
    standard = [_standard(search, n, k, axes) for _, n, k in lowest]
    keys = [tuple(np.round(np.concatenate([k, n.ravel()]), 4).tolist()) for n, k in standard]
    n, k = polished(search, *standard[max(range(len(keys)), key=keys.__getitem__)])
    n, k = _standard(search, *_at_half(search, n, k), axes)
    return n, k, soft_directions(search, n, k, axes)


def _at_half(search: Search, n: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The structure at the half of a reciprocal lattice vector nearest to a free k, if the energy is the same there.

    A search comes near such a k and not to it, where Q − k and Q + k are one magnon. Differences of k that
    the energy does not show, about 10⁻⁵ r.l.u. where k is not soft, are its rounding.
    """
    half = np.where(search.moving, np.round(2 * k) / 2, k)
    if not search.free or np.max(np.abs(k - half)) > _NEAR_HALF:
        return n, k
    held = search._replace(held=half, free=(), fixed=quadratic(search.form, half))
    there, _ = polished(held, n, half)
    same = energy_of(held, there, half) <= energy_of(search, n, k) + _same(search)
    return (there, half) if same else (n, k)


def _standard(search: Search, n: np.ndarray, k: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The agreed one among equivalent structures; a free k lies in (−½, ½], its first component positive if it may."""
    even = float(np.max(np.abs(search.form.field), initial=0.0)) <= _ROUNDING
    k = np.where(search.moving, k - np.ceil(k - 0.5 - SOFT), k)
    leading = k[search.moving & (np.abs(k) > SOFT)]
    if leading.size and leading[0] < 0:
        across = tangents_of(search.form.axis[None])[0, 0]
        mirrored, back = n - 2 * np.outer(n @ across, across), np.where(search.moving, -k, k)
        if abs(energy_of(search, mirrored, back) - energy_of(search, n, k)) <= _same(search):
            n, k = mirrored, back
    return oriented(n, axes, even), k


def _same(search: Search) -> float:
    """Energy differences in meV per crystal cell that do not count."""
    return _SAME * search.scale * len(search.form.field) / search.form.cells


def _distinct(search: Search, energies: Float[np.ndarray, " e"]) -> tuple[np.ndarray, np.ndarray]:
    """Energies that differ, ascending as they come, and how many there are of each."""
    groups = np.split(energies, np.flatnonzero(np.diff(energies) > _same(search)) + 1)
    return np.array([group[0] for group in groups]), np.array([len(group) for group in groups])


def _require_no_torque(model: Model, torque: float) -> None:
    if torque <= TORQUE:
        return
    together = model.structure.k is not None and model.structure.supercell is not None
    remedy = (
        "With k and a supercell the spins turn from cell to cell as k says, and the couplings do not let them. Leave "
        "out k and axis, so that each spin of the supercell finds its own direction."
        if together
        else "Give more starts or another seed, or look for a spin that no coupling holds."
    )
    raise UnstableStructure(
        f"The structure of lowest energy found for {model.name} still has a torque of {torque:.2g} of the largest "
        f"local field (accepted: {TORQUE:g}), so that it is no minimum. {remedy}"
    )


def _filled(model: Model, directions: np.ndarray, k: np.ndarray | None) -> Model:
    """The model with these directions, and k where the frame turns, in its structure."""
    content = model.model_dump(exclude_none=True)
    table = {key: value for key, value in content["structure"].items() if key not in ("starts", "seed")}
    table["directions"] = [[float(x) + 0.0 for x in n] for n in directions]
    if k is not None:
        table["k"] = [float(x) for x in k]
    return Model.from_dict({**content, "structure": table})
