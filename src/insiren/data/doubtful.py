"""What of a data set cannot be right: a column taken for another, a unit, or a sign; whatever the file it came from."""

from __future__ import annotations

import re

import numpy as np
import scipp as sc

from insiren.data.bins import bins_of
from insiren.data.files.orientation import reciprocal
from insiren.data.files.scattering import MEV
from insiren.data.peaks import is_peaks
from insiren.data.spectrum import left_out, place_of
from insiren.errors import DataError

FAR = 100.0  # r.l.u. or 1/Å; a neutron of 3 eV turned back gives 76 1/Å
ENERGETIC = 5e3  # meV, above what spectrometers reach: a unit a thousand times smaller
NO_NUMBER = 1e19  # intensities beyond it stand for something else, as −1e20 does
SHORT, LONG = 1.5, 300.0  # Å, of a lattice: below it nm, above it pm
SLACK = 1.02  # on |Q|, for detectors of some size


def doubtful(data: sc.DataArray) -> list[str]:
    """What cannot be right about a spectrum or a list of peaks, a sentence each with its remedy.

    Args:
        data: in the form of the package.
    """
    peaks = is_peaks(data)
    used = np.ones(data.shape, bool) if peaks else ~left_out(data)
    energies = data.values if peaks else data.coords["energy_transfer"].to(unit="meV", dtype="float64").values
    names = place_of(data)
    place = {name: np.asarray(data.coords[name].values, float) for name in names}
    said = [*_far(place), *_energetic(energies), *_lattice(data)]
    if peaks:
        return said
    with np.errstate(all="ignore"):  # numbers beyond any float
        return [*said, *_intensities(data.values[used]), *_reached(data, place, energies, used)]


def _far(place: dict[str, np.ndarray]) -> list[str]:
    top = {name: _top(np.abs(values)) for name, values in place.items()}
    name = max(top, key=lambda one: top[one])
    if top[name] <= FAR:
        return []
    unit = "1/Å" if name == "Q_abs" else "r.l.u."
    return [
        f"{name} reaches {top[name]:.3g} {unit}, where no neutron scatters: is it another column (--columns, of a "
        "text), another unit, or the sign of a place that was not measured?"
    ]


def _energetic(energies: np.ndarray) -> list[str]:
    known = energies[np.isfinite(energies)]
    if (top := _top(np.abs(known))) > ENERGETIC:
        return [f"the energy transfer reaches {top:.3g} meV: is it in µeV (--energy-unit ueV, of a text)?"]
    if known.size > 1 and np.all(known < 0):
        return [
            f"every energy transfer is negative, down to {known.min():.3g} meV: energies that the neutron loses are "
            "positive here; turn the sign if these are losses"
        ]
    return []


def _intensities(values: np.ndarray) -> list[str]:
    known = values[np.isfinite(values)]
    said = []
    if beyond := int(np.sum(np.abs(known) >= NO_NUMBER)):
        said.append(
            f"{beyond} intensities lie beyond ±{NO_NUMBER:g}: they stand for something else; mask or correct them"
        )
    if known.size > 1 and np.all(known < 0):
        said.append(
            f"every intensity is negative, {known.min():.3g} to {known.max():.3g}: is it another column (--columns, of "
            "a text), or was too much background subtracted?"
        )
    return said


def _lattice(data: sc.DataArray) -> list[str]:
    if (cell := _cell(data)) is None:
        return []
    lengths = ", ".join(f"{x:g}" for x in cell[:3])
    if np.any(cell[:3] < SHORT):
        return [f"the lattice is {lengths} Å: is it in nm? Give it in Å as --lattice, or correct the file"]
    if np.any(cell[:3] > LONG):
        return [f"the lattice is {lengths} Å: is it in pm? Give it in Å as --lattice, or correct the file"]
    return []


def _cell(data: sc.DataArray) -> np.ndarray | None:
    """a, b, c in Å and α, β, γ in degrees as the data set keeps them, shape (6,), or None."""
    if "lattice" not in data.coords or data.coords["lattice"].ndim:
        return None
    try:
        found = [float(x) for x in re.split(r"[,\s]+", str(data.coords["lattice"].value).strip()) if x]
    except ValueError:
        return None
    found = [*found, 90.0, 90.0, 90.0] if len(found) == 3 else found
    return np.array(found) if len(found) == 6 and np.isfinite(found).all() else None


def _reached(data: sc.DataArray, place: dict[str, np.ndarray], energies: np.ndarray, used: np.ndarray) -> list[str]:
    """Pixels where no neutron of energy Ei ends: above Ei, or at a |Q| beyond k_i + k_f.

    Source: conservation of energy and of momentum, |Q| ≤ k_i + k_f.
    """
    if "Ei" not in data.coords or data.coords["Ei"].ndim or not used.any():
        return []
    Ei = float(data.coords["Ei"].value)
    if not 0 < Ei < np.inf:
        return []
    dims = list(data.dims)
    along = np.broadcast_to(_shaped(data, energies, "energy_transfer", dims), data.shape)
    above, said = used & (along > Ei), []
    if count := int(above.sum()):
        said.append(
            f"{count} pixels lie above Ei = {Ei:g} meV, up to {along[above].max():.4g} meV, where no neutron is left: "
            "are Ei and the unit of energy right (--Ei)?"
        )
    if (Q := _modulus(data, place)) is None:
        return said
    reach = SLACK * (np.sqrt(Ei / MEV) + np.sqrt(np.maximum(Ei - along, 0.0) / MEV)) + bins_of(data).Q_abs / 2
    across = np.broadcast_to(_shaped(data, Q, next(iter(place)), dims), data.shape)
    if count := int(np.sum(used & ~above & (across > reach))):
        worst = float(np.max(across[used & ~above]))
        said.append(
            f"{count} pixels lie at a |Q| that neutrons of Ei = {Ei:g} meV do not reach, up to {worst:.3g} 1/Å: are "
            "Ei (--Ei), the lattice (--lattice) and the directions right?"
        )
    return said


def _modulus(data: sc.DataArray, place: dict[str, np.ndarray]) -> np.ndarray | None:
    """|Q| in 1/Å along the wavevectors, or None where no lattice tells."""
    if "Q_abs" in place:
        return place["Q_abs"]
    cell = _cell(data)
    try:
        B = None if cell is None else reciprocal(data.name, cell)
    except DataError:
        return None  # no lattice, which is said where it matters
    return None if B is None else np.linalg.norm(np.stack([place[c] for c in "hkl"], axis=1) @ B.T, axis=1)


def _shaped(data: sc.DataArray, values: np.ndarray, coord: str, dims: list[str]) -> np.ndarray:
    """A coordinate's values with a length of 1 along every dim that it does not have."""
    (dim,) = data.coords[coord].dims
    return values.reshape([len(values) if one == dim else 1 for one in dims])


def _top(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else 0.0
