"""NXSPE: intensity of every detector against energy transfer, for a powder or a single crystal.

Source: Mantid, algorithms SaveNXSPE and LoadNXSPE; Horace, nxspe files.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import scipp as sc

from insiren.data.files.axes import Vector, axis, resized, said_of_bins, scalar
from insiren.data.files.axis_names import energy_factor
from insiren.data.files.hints import chosen, how
from insiren.data.files.histogram import LARGEST, NOTHING, described
from insiren.data.files.orientation import as_text, orientation, reciprocal
from insiren.data.files.powder import powder_map
from insiren.data.files.scattering import (
    Detectors,
    Pixels,
    crystal,
    modulus,
    said_of_dark,
    said_of_kf_over_ki,
    without_kf_over_ki,
)
from insiren.data.files.tree import Node
from insiren.data.spectrum import point_list
from insiren.errors import DataError
from insiren.forward import Bins


def is_nxspe(root: Node) -> bool:
    """Whether a group of the file calls itself NXSPE, whatever its name."""
    return _entry(root) is not None


def _entry(root: Node) -> Node | None:
    for node in root.groups():
        definition = node.get("definition")
        if (definition is not None and definition.is_text and definition.text().strip() == "NXSPE") or (
            node.get("NXSPE_info") is not None
        ):
            return node
    return None


def read_nxspe(
    root: Node,
    name: str,
    *,
    Ei: float | None = None,
    geometry: Literal["direct", "indirect"] | None = None,
    q_step: float | None = None,
    lattice: Vector | None = None,
    u: Vector | None = None,
    v: Vector | None = None,
    psi: float | None = None,
    kf_over_ki: str | None = None,
    zeros: str | None = None,
    bins: str | None = None,
) -> list[sc.DataArray]:
    """A powder's map of |Q| and energy, or every pixel of a single crystal as a point.

    Args:
        root: of the file.
        name: of the data set.
        Ei: incident energy in meV, in place of the file's; the final energy if `geometry` is indirect.
        geometry: which energy is fixed; by default the final one where the file has one for each detector.
        q_step: width of the bins of a powder in |Q|, 1/Å; by default twice the distance of neighbouring
            detectors.
        lattice: a, b, c in Å and α, β, γ in degrees; a file with it is read as a single crystal.
        u: r.l.u. along k_i at ψ = 0.
        v: r.l.u. of another direction of the horizontal plane.
        psi: angle of u from k_i in degrees, anticlockwise seen from above, in place of the file's.
        kf_over_ki: whether that factor is "divided" out of the intensities or "contained" in them, in place of
            what the file says.
        zeros: what detectors of nothing but 0 and bins without neutrons are, "missing" or "measured"; by
            default the first are missing, the others measured.
        bins: see `axes.resized`.

    Raises:
        DataError: the file lacks something, contradicts itself, or holds no measurement.
    """
    entry = _entry(root)
    assert entry is not None
    meant = zeros and chosen("zeros", zeros)
    pixels = _pixels(entry, name, _Told(Ei, geometry, kf_over_ki and chosen("kf_over_ki", kf_over_ki), meant, bins))
    orienting = {"lattice": lattice, "u": u, "v": v}
    lacking = [key for key, given in orienting.items() if given is None]
    if lattice is not None and u is not None and v is not None:
        if q_step is not None:
            raise DataError(f"{name}: q_step bins a powder, but lattice, u and v say that it is a crystal.")
        data = _crystal(name, pixels, lattice, u, v, psi)
    elif len(lacking) < len(orienting):
        raise DataError(
            f"{name}: a single crystal needs lattice, u and v; {', '.join(lacking)} is not given. Give {how(*lacking)}."
        )
    else:
        if psi is not None:
            raise DataError(f"{name}: psi = {psi} orients a crystal. Give {how(*orienting)} too.")
        angle = "" if np.isnan(pixels.psi) else f" (psi = {pixels.psi:g}°)"
        pixels.assumed.append(f"a powder{angle}; --lattice, --u and --v (and --psi) make it a single crystal")
        Q = modulus(name, pixels.detectors, pixels.energy.centres)
        data = powder_map(name, pixels, Q, q_step, meant or "measured")
    facts: dict[str, float | str] = {}
    if not pixels.detectors.indirect:
        facts["Ei"] = float(pixels.detectors.fixed[0])
    if lattice is not None:
        facts["lattice"] = as_text(lattice)
    return [described(data, pixels.assumed, facts, pixels.noted)]


class _Told(NamedTuple):
    """What the user says; see `read_nxspe`."""

    Ei: float | None
    geometry: str | None
    kf_over_ki: str | None
    zeros: str | None
    bins: str | None


def _pixels(entry: Node, name: str, told: _Told) -> Pixels:
    data, info = entry.need("data"), entry.need("NXSPE_info")
    signal, errors = data.need("data"), data.need("error")
    if len(signal.shape) != 2 or errors.shape != signal.shape:
        raise signal.error(
            f"has the shape {signal.shape} and its errors {errors.shape}; (detectors, energies) is needed"
        )
    n, w = signal.shape
    stored = axis("energy", "energy", _meV(data.need("energy")), w, f"{entry.file}: energy")
    energy, assumed = resized(stored, told.bins), said_of_bins(stored, told.bins)
    intensity, sigma = signal.numbers(LARGEST), errors.numbers(LARGEST)
    bad, dark = _off(intensity, sigma)
    assumed += said_of_dark(int(dark.sum()), n, told.zeros)
    noted = _said_of_bad(bad)
    missing = bad | (dark[:, None] & (told.zeros != "measured"))
    polar, azimuthal = (_degrees(data.need(key)) for key in ("polar", "azimuthal"))
    if polar.shape != (n,) or azimuthal.shape != (n,) or not np.isfinite([polar, azimuthal]).all():
        raise data.error(
            f"has {polar.size} polar and {azimuthal.size} azimuthal angles for {n} detectors, or some that are "
            "not finite"
        )
    fixed, indirect = _fixed(info, name, n, told.Ei, told.geometry)
    if indirect and told.geometry is None:
        assumed.append("the final energy is fixed, as every detector has its own; --hint geometry=direct changes it")
    detectors = Detectors(polar, azimuthal, fixed, indirect)
    contained, said = _kf_over_ki(info, told.kf_over_ki)
    with np.errstate(all="ignore"):
        kept = (np.where(missing, 0.0, one) for one in (intensity, sigma))
        intensity, sigma = without_kf_over_ki(name, detectors, energy.centres, contained, *kept)
        variance = sigma**2
    return Pixels(detectors, energy, intensity, variance, missing, _psi(info), [*assumed, *said], noted)


def _meV(node: Node) -> np.ndarray:
    """Energies in meV, whichever unit of energy they are in; without one they are in meV."""
    unit = node.attribute("units")
    if (factor := energy_factor(unit)) is None:
        raise node.error(f"is in {unit!r}, which is no unit of energy that is known; convert it to meV")
    return node.numbers().ravel() * factor


def _degrees(node: Node) -> np.ndarray:
    """Angles in degrees, which they are in where the file does not say radians."""
    angles = node.numbers().ravel()
    return np.degrees(angles) if node.attribute("units").strip().lower().startswith("rad") else angles


def _said_of_bad(bad: np.ndarray) -> list[str]:
    """How many detectors are masked, with all of their pixels, and how many other pixels are."""
    (n, w), off = bad.shape, bad.all(axis=1)
    said = [f"{off.sum()} of {n} detectors are masked (NaN, or −10¹⁰ and below)"] if off.any() else []
    if single := int(bad[~off].sum()):
        said.append(f"{single} of {n * w} pixels are NaN, or −10¹⁰ and below, in detectors that were on: left out")
    return said


def _kf_over_ki(info: Node, given: str | None) -> tuple[bool, list[str]]:
    """Whether the factor is still in the intensities, and what was assumed about it."""
    if given is not None:
        return given == "contained", [said_of_kf_over_ki(given == "contained", "as asked for")]
    scaling = info.get("ki_over_kf_scaling")
    if scaling is None:
        return False, [said_of_kf_over_ki(False, "the file does not say")]
    contained = scaling.number() == 0
    return contained, [said_of_kf_over_ki(contained, "as ki_over_kf_scaling says")] if contained else []


def _psi(info: Node) -> float:
    """The angle in degrees, NaN where the file does not know, which is asked for where it is needed."""
    psi = info.get("psi")
    angle = float(psi.numbers().ravel()[0]) if psi is not None and psi.is_numeric and 0 not in psi.shape else np.nan
    return angle if np.isfinite(angle) else np.nan


def _off(intensity: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of masked detectors or of numbers that are none, (n, w), and detectors that are all zero, (n,)."""
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(intensity) | (intensity <= NOTHING) | ~np.isfinite(sigma) | (sigma < 0)
    empty = ~np.any((intensity != 0) & ~bad, axis=1) & ~np.any((sigma != 0) & ~bad, axis=1)
    return bad, empty & ~bad.all(axis=1)


def _fixed(info: Node, name: str, n: int, Ei: float | None, geometry: str | None) -> tuple[np.ndarray, bool]:
    """The fixed energy of each detector in meV, and whether it is the final one."""
    if geometry not in (None, "direct", "indirect"):
        raise DataError(f"{name}: geometry = {geometry!r} is neither direct nor indirect.")
    stored = info.get("fixed_energy")
    values = np.zeros(0) if stored is None else _meV(stored)
    indirect = geometry == "indirect" or (geometry is None and len(values) == n > 1 and np.ptp(values) > 0)
    if Ei is not None:
        values = np.array([scalar(name, "Ei", Ei)])
    if len(values) not in (1, n) or not np.all(np.isfinite(values) & (values > 0)):
        raise DataError(
            f"{name}: the file does not say the incident energy ({len(values)} values). Give Ei, in meV: {how('Ei')}."
        )
    return np.broadcast_to(values, (n,)), bool(indirect)


def _crystal(name: str, pixels: Pixels, lattice: Vector, u: Vector, v: Vector, psi: float | None) -> sc.DataArray:
    angle = pixels.psi if psi is None else scalar(name, "psi", psi)
    if np.isnan(angle):
        raise DataError(f"{name}: the file does not say the angle of the crystal. Give psi, in degrees: {how('psi')}.")
    pixels.assumed.append(f"u lies at psi = {angle:g}° from ki, anticlockwise seen from above; --psi changes it")
    B = reciprocal(name, lattice)
    omega = pixels.energy.centres
    hkl = crystal(name, pixels.detectors, omega, B, orientation(name, B, u, v), angle)
    there = ~pixels.missing
    energies = np.broadcast_to(omega, there.shape)[there]
    bins = Bins(omega=pixels.energy.width)
    sigma = np.sqrt(pixels.variance[there])
    return point_list(name, hkl[there], energies, pixels.intensity[there], sigma, bins=bins)
