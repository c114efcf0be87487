"""What a user should know of a model before believing its numbers: one sentence each, with what to do."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from insiren.errors import ModelError
from insiren.forward import Parameter, Parameters
from insiren.model.energy import energy_form, quadratic, relative_torque
from insiren.model.expansion import bond_kinds, describe
from insiren.model.hamiltonian import couplings
from insiren.model.primitive import primitive
from insiren.model.spec import MINIMISE, Model
from insiren.model.structure import MagneticCell, magnetic_cell
from insiren.model.symmetry import Ends
from insiren.model.tables import CRYSTAL_FRAME, KitaevTable

_ONE_LENGTH = 1e-3  # Å; rounding of positions stays below, lengths further apart are of different bonds
_PARALLEL = 1e-6  # sine of an angle
_MOVED = 0.1  # of the way to a bound: so far a parameter is moved to see whether the spins would follow
_TURNS = 1e-4  # of the largest local field: more than this is refused as a torque
_LARGEST = 1e100  # meV; squares of larger numbers overflow
_WORTH = 6  # spins of a magnetic cell, those of each branch counted; smaller cells are quick anyway


def remarks(model: Model, params: Parameters | None = None) -> tuple[str, ...]:
    """What is legal in a model and still seldom meant, in sentences; nothing for most.

    Args:
        model: the magnet.
        params: values by name in their units; those left out take the model's.
    """
    given = params or {}
    return _remarks(model, tuple((p.name, float(np.asarray(given.get(p.name, p.value)))) for p in model.all_parameters))


def how_to_relax(model: Model, params: Parameters) -> str:
    """What to do about a structure that is no energy minimum at these parameters, in sentences with the command."""
    values = {p.name: (float(np.asarray(params.get(p.name, p.value))), p.value) for p in model.all_parameters}
    moved = {name: x for name, (x, own) in values.items() if name in model.used_names and x != own}
    options = "".join(f" --set {name}={x:.6g}" for name, x in moved.items())
    found = f"`insiren models FILE --minimise{options}` prints the [structure] of lowest energy for these values"
    if not moved:
        return f"{found}."
    return (
        f"They do not follow the parameters: {found}, for a file of its own; or leave {', '.join(moved)} at the values "
        "of the file, in a fit with --fix."
    )


@functools.lru_cache(maxsize=64)
def _remarks(model: Model, values: tuple[tuple[str, float], ...]) -> tuple[str, ...]:
    found = [*_merged_lengths(model), *_unrelated_bonds(model), *_one_kitaev_axis(model), *_half_spins(model)]
    with np.errstate(all="ignore"):
        try:
            if not all(np.all(np.abs(x) < _LARGEST) for x in couplings(model, dict(values), np)):
                return tuple(found)
            found += _strong_anisotropy(model, dict(values))
            cell = magnetic_cell(model)
            return (*found, *_standing_still(model, cell), *_reducible(model, cell))
        except ModelError:  # no coupling or no structure: whatever needs them says so
            return tuple(found)


def _merged_lengths(model: Model) -> list[str]:
    """Shells whose bonds differ in length."""
    found = []
    for number, bonds in _shells(model):
        lengths = np.sort([model.site_images.length(ends) for ends in bonds])
        groups = np.split(lengths, np.flatnonzero(np.diff(lengths) > _ONE_LENGTH) + 1)
        if len(groups) > 1:
            listed = ", ".join(f"{len(group)} of {np.mean(group):.4f} Å" for group in groups)
            gap = min(b[0] - a[-1] for a, b in itertools.pairwise(groups))
            found.append(
                f"bond.{number} gives one exchange to bonds of {len(groups)} lengths ({listed}), which differ by less "
                f"than its tolerance: to tell them apart, write tolerance = {gap / 2:.1g} there and one [[bond]] for "
                "each length; shells are then counted anew."
            )
    return found


def _unrelated_bonds(model: Model) -> list[str]:
    """Shells whose bonds no operation of the space group relates."""
    images, found = model.site_images.images, []
    if images is None:
        return []
    for number, bonds in _shells(model):
        kinds = bond_kinds(images, bonds)
        if len(kinds) > 1:
            listed = "; ".join(f"{count} as {describe(ends)}" for ends, count in kinds)
            found.append(
                f"bond.{number} gives one exchange to {len(kinds)} kinds of bonds that no symmetry of "
                f"{images.group.name} relates, all of {model.site_images.length(bonds[0]):.4g} Å ({listed}): if they "
                "may differ, replace it by one [[bond]] for each kind, with i, j and offset."
            )
    return found


def _shells(model: Model) -> list[tuple[int, list[Ends]]]:
    """The number and the bonds of each `[[bond]]` that takes them by their length."""
    by_length = [n for n, table in enumerate(model.bond) if table.ends is None]
    return [(n, [(b.i, b.j, b.offset) for b in model.bonds if b.declared == n]) for n in by_length]


def _one_kitaev_axis(model: Model) -> list[str]:
    """Kitaev exchange in the crystal's own axes, whose axis is then the same on every bond."""
    frames = {n: b.kitaev for n, b in enumerate(model.bond) if b.kitaev and b.kitaev.frame == CRYSTAL_FRAME}
    axes = [b.rotation @ _kitaev_axis(frames[b.declared]) for b in model.bonds if b.declared in frames]
    if len(axes) < 2 or np.max(np.linalg.norm(np.cross(axes, axes[0]), axis=1)) > _PARALLEL:
        return []
    along = ", ".join(f"{x:.3g}" for x in axes[0] + 0.0)
    return [
        f"The kitaev terms of bond.{', bond.'.join(map(str, frames))} have the one axis ({along}) on all {len(axes)} "
        "bonds, which is an Ising exchange and not Kitaev's: without frame the spin axes x, y, z are those of the "
        "crystal's Cartesian frame; write frame = [[…], […], […]] with the cubic axes of the octahedra as rows."
    ]


def _kitaev_axis(table: KitaevTable) -> np.ndarray:
    axis = np.eye(3)["xyz".index(table.axis)] if isinstance(table.axis, str) else np.array(table.axis)
    return axis / np.linalg.norm(axis)


def _half_spins(model: Model) -> list[str]:
    """Single-ion terms of spins 1/2."""
    halves = sorted({site for site, _, _ in model.single_ion if model.sites[site].spin == 0.5})
    if not halves:
        return []
    return [
        f"[[anisotropy]] acts on spins 1/2 (site {', '.join(map(str, halves))}), for which (Sᶻ)² = 1/4 is a constant: "
        "no such term exists, but these spin waves take it for real and open a gap; write the anisotropy into the "
        "exchange matrix of a [[bond]]."
    ]


def _strong_anisotropy(model: Model, values: Parameters) -> list[str]:
    """Single-ion terms that exceed the exchange, of spins that are not 1/2.

    Averaged over coherent states, D (Sᶻ)² of a quantum spin is 1 − 1/(2S) times the classical one.
    Source: Dahlbom et al., Renormalized Classical Theory of Quantum Magnets, arXiv:2304.03874 (2023).
    """
    terms = couplings(model, values, np)
    levels = np.linalg.eigvalsh(terms.anisotropy)
    size = np.where([site.spin >= 1 for site in model.sites], levels[:, -1] - levels[:, 0], 0.0)
    site = int(np.argmax(size))
    largest = float(np.max(np.linalg.norm(terms.exchange, 2, axis=(1, 2)), initial=0.0))
    if not size[site] > largest:
        return []
    S, factor = model.sites[site].spin, 1 - 1 / (2 * model.sites[site].spin)
    return [
        f"The single-ion anisotropy of site {site} ({size[site]:.3g} meV) exceeds the largest exchange "
        f"({largest:.3g} meV), and these spin waves count it in full, where a quantum spin S = {S:g} feels it reduced "
        f'by 1 − 1/(2S) = {factor:.3g}: to use a published D, or to fit one that compares, write "{factor:.3g}*D" into '
        "the matrix."
    ]


def _standing_still(model: Model, cell: MagneticCell) -> list[str]:
    """Structures that would turn with their parameters, where simulations and fits keep them as they are."""
    own = {p.name: p.value for p in model.all_parameters}
    if _unrest(model, cell, own) > _TURNS:
        return []  # it is no minimum to begin with, which any simulation says
    names = []
    for p in model.all_parameters:
        moved = own | {p.name: p.value + _MOVED * (_further(p) - p.value)}
        if p.name in model.used_names and _unrest(model, cell, moved) > _TURNS:
            names.append(p.name)
    if not names:
        return []
    found = "found" if model.structure.directions == MINIMISE else "given"
    one = names[-1]
    return [
        f"The spins would turn with {', '.join(names)}, but stay as {found} for the values in [parameters], so that a "
        f"simulation or a fit at other values is refused as unstable: fix them (--fix {one}=VALUE), or make a file for "
        f"others, with the [structure] that `insiren models FILE --minimise --set {one}=VALUE` prints."
    ]


def _unrest(model: Model, cell: MagneticCell, params: Parameters) -> float:
    """The torque on a spin, or the slope of the energy by k, relative to the largest local field."""
    form = energy_form(model, params, np)
    k = np.zeros(3) if cell.k is None else cell.k
    torque = relative_torque(form, cell.direction, k)
    if cell.k is None or not np.isfinite(torque):
        return torque
    flat = cell.direction.ravel()
    local = np.max(np.linalg.norm((quadratic(form, k) @ flat).reshape(-1, 3) - form.field, axis=1))
    slopes = [flat @ quadratic(form, k, (c,)) @ flat / 2 for c in range(3)]
    return max(torque, float(np.max(np.abs(slopes))) / (2 * np.pi * len(cell.spin) * float(local)))


def _reducible(model: Model, cell: MagneticCell) -> list[str]:
    """Magnetic cells that hold several primitive ones."""
    spins = len(cell.spin)
    if spins * (1 if cell.k is None else 3) < _WORTH:
        return []
    small = primitive(model, cell, _trials(model))
    if small.count == 1:
        return []
    rows, left = small.vectors, spins // small.count
    if np.max(np.abs(rows - np.round(rows))) < _PARALLEL:
        smaller = np.round(rows).astype(int).tolist()
        remedy = f"write supercell = {smaller} with {left} direction{'' if left == 1 else 's'}"
    else:
        lengths = (np.round(rows @ model.crystal.lattice_vectors, 5) + 0.0).tolist()
        remedy = (
            f"write a file with vectors = {lengths} in [crystal], in place of a, b, c and the space group, and the "
            "sites and bonds of that cell; h, k, l are then its own too"
        )
    return [
        f"The magnetic cell holds {small.count} primitive cells, {spins} spins where {left} would do, which makes "
        f"everything {small.count} to {small.count**2} times slower and changes no number: to be quicker, {remedy}."
    ]


def _trials(model: Model) -> list[dict[str, float]]:
    """The model's own values, and others near them, at which equal couplings are equal by more than chance."""
    rng, own = np.random.default_rng(0), {p.name: p.value for p in model.all_parameters}
    reach = {p.name: rng.uniform(0, _MOVED) * (_further(p) - p.value) for p in model.all_parameters}
    return [own, {name: x + reach[name] for name, x in own.items()}]


def _further(p: Parameter) -> float:
    """The bound that lies further from the value."""
    return p.max if p.max - p.value >= p.value - p.min else p.min
