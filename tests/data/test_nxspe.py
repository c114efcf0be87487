"""NXSPE files become a powder's map or the points of a crystal, with every neutron in its place."""

import h5py
import numpy as np
import pytest
from nexus_files import nxspe

from insiren.data.files import read
from insiren.data.spectrum import measured
from insiren.errors import DataError

MEV = 2.072124  # meV Å²; ħ²/2m
ENERGY = np.linspace(-5, 15, 11)
POLAR = np.linspace(5, 120, 60)
MNF2 = "MAR18301_Ei12.00meV.nxspe"


def said(data):
    return data.coords["assumed"].value


def flat(n=60, w=10, counts=4.0):
    return np.full((n, w), counts), np.full((n, w), np.sqrt(counts))


def powder(path, intensity=None, sigma=None, **facts):
    given, errors = flat()
    return nxspe(path, given if intensity is None else intensity, errors if sigma is None else sigma, ENERGY, POLAR,
                 np.zeros(60), **facts)  # fmt: skip


def test_a_real_powder_has_its_numbers(shared):
    # Numbers found from the file with h5py alone.
    (data,) = read(shared / "data" / "mnf2" / MNF2)
    assert dict(data.sizes) == {"Q": 97, "energy_transfer": 294}
    assert data.coords["Ei"].value == pytest.approx(11.904, abs=1e-3)
    energy = data.coords["energy_transfer"].values
    np.testing.assert_allclose([energy[0], energy[-1]], [-5.97, 11.61])
    Q = data.coords["Q_abs"].values
    np.testing.assert_allclose([Q[0], Q[-1]], [0.125, 4.925])
    detectors, missing = data.coords["detectors"].values, data.masks["missing"].values
    assert detectors.sum() == 285 * 294, "every pixel is in one bin"
    np.testing.assert_allclose(np.nansum(data.values * detectors), 2116719.2014385327, rtol=1e-12)
    np.testing.assert_array_equal(missing, detectors == 0)
    assert missing.sum() == 8326
    taken = measured(data)
    assert (taken.points.bins.Q_abs, taken.points.bins.omega) == (pytest.approx(0.05), pytest.approx(0.06))
    assert "a powder" in said(data) and "bins of 0.05" in said(data)


def test_the_errors_of_a_real_powder_are_those_of_its_detectors(shared):
    (data,) = read(shared / "data" / "mnf2" / MNF2, q_step=0.1)
    n, caught = data.coords["detectors"].values, data.values > 0
    np.testing.assert_allclose(np.sum((data.variances * n.astype(float) ** 2)[caught]), 1084373.9737496825, rtol=1e-9)
    empty = (n > 0) & (data.values == 0)
    assert empty.any() and np.all(data.variances[empty] > 0), "nothing caught is a measurement with an error"


def test_magnons_of_a_real_powder_lie_where_they_are_known_to(shared):
    # The bands of MnF2 end near 6.3 meV at the zone boundary, where a powder shows a peak. Source: the exchange
    # constants J1 = -0.0575, J2 = 0.3161 meV for S = 5/2 give 8 S J2 = 6.32 meV, up to anisotropy and J1.
    (data,) = read(shared / "data" / "mnf2" / MNF2)
    Q, energy = data.coords["Q_abs"].values, data.coords["energy_transfer"].values
    low = (Q > 1) & (Q < 2)
    cut = np.nan_to_num(data.values[low]).mean(axis=0)
    inside = (energy > 3) & (energy < 9)
    assert abs(energy[inside][np.argmax(cut[inside])] - 6.5) < 0.6


def test_detectors_are_put_where_q_is(tmp_path):
    (data,) = read(powder(tmp_path / "x.nxspe"), q_step=0.25)
    centres = (ENERGY[1:] + ENERGY[:-1]) / 2
    ki, kf = np.sqrt(20 / MEV), np.sqrt((20 - centres) / MEV)
    Q = np.sqrt(ki**2 + kf**2 - 2 * ki * kf * np.cos(np.radians(POLAR))[:, None])
    edges = np.arange(0, 7, 0.25)
    for i in (0, 5, 9):
        expected, _ = np.histogram(Q[:, i], edges)
        found = dict(zip(np.round(data.coords["Q_abs"].values, 6), data.coords["detectors"].values[:, i], strict=True))
        assert [found.get(round(x, 6), 0) for x in edges[:-1] + 0.125] == expected.tolist()
    n = data.coords["detectors"].values
    np.testing.assert_allclose(data.values[n > 0], 4.0)
    np.testing.assert_allclose(data.variances[n > 0], 4.0 / n[n > 0])


def test_missing_masked_and_empty_pixels_are_told_apart(tmp_path):
    intensity, sigma = flat()
    intensity[0], sigma[0] = np.nan, 0
    intensity[1] = -1e30
    intensity[2], sigma[2] = 0, 0
    intensity[3, 0] = np.nan  # one bin says nothing of the others
    intensity[4, 5] = np.nan
    intensity[30:33, 7], sigma[30:33, 7] = 0, 0
    (data,) = read(powder(tmp_path / "x.nxspe", intensity, sigma), q_step=0.02)
    n = data.coords["detectors"].values
    assert n.sum() == 600 - 30 - 2
    assert "1 of 60 detectors were off" in said(data)
    assert "2 of 60 detectors are masked (NaN, or −10¹⁰ and below)" in data.coords["noted"].value
    assert "2 of 600 pixels are NaN" in data.coords["noted"].value
    empty = (n > 0) & (data.values == 0)
    assert empty.sum() == 3
    # σ²/I = 1 everywhere: a neutron is worth 1.
    np.testing.assert_allclose(data.variances[empty], 1.0)


def test_the_factor_of_the_momenta_is_put_in_where_it_lacks(tmp_path):
    (with_it,) = read(powder(tmp_path / "x.nxspe"), q_step=0.2)
    (without,) = read(powder(tmp_path / "y.nxspe", scaling=0), q_step=0.2)
    (unsaid,) = read(powder(tmp_path / "z.nxspe", scaling=None), q_step=0.2)
    there = ~with_it.masks["missing"].values
    ratio = np.broadcast_to(np.sqrt(20 / (20 - with_it.coords["energy_transfer"].values)), there.shape)
    np.testing.assert_allclose(without.values[there] / with_it.values[there], ratio[there])
    np.testing.assert_allclose(without.variances[there] / with_it.variances[there], ratio[there] ** 2)
    np.testing.assert_array_equal(unsaid.values[there], with_it.values[there])
    assert "the file does not say" in said(unsaid)


def test_what_the_file_lacks_is_asked_for_by_name(tmp_path):
    path = powder(tmp_path / "x.nxspe", Ei=None)
    with pytest.raises(DataError, match="Give Ei, in meV"):
        read(path)
    assert read(path, Ei=20.0)[0].coords["Ei"].value == 20.0
    with pytest.raises(DataError, match=r"with Ei = 10 meV no neutron is left at an energy transfer of 14 meV"):
        read(path, Ei=10.0)
    with pytest.raises(DataError, match="Ei = '-3 meV'"):
        read(path, Ei="-3 meV")
    for wrong in (0.0, -1.0, 1e-9, np.inf):
        with pytest.raises(DataError, match="q_step"):
            read(powder(tmp_path / "x.nxspe"), q_step=wrong)
    with pytest.raises(DataError, match="needs lattice, u and v; u, v is not given"):
        read(path, Ei=20.0, lattice=(4, 4, 4, 90, 90, 90))
    crystal = {"Ei": 20.0, "lattice": (4, 4, 4, 90, 90, 90), "u": (1, 0, 0), "v": (0, 1, 0)}
    with pytest.raises(DataError, match="Give psi, in degrees"):
        read(path, **crystal)
    with pytest.raises(DataError, match="are parallel"):
        read(path, **{**crystal, "v": (2, 0, 0)}, psi=0)
    for lattice in ((4, 4, 4, 90, 90, 180), (0, 4, 4, 90, 90, 90), (4, 4, 4, 30, 30, 100)):
        with pytest.raises(DataError, match="has no volume"):
            read(path, **{**crystal, "lattice": lattice}, psi=0)
    with pytest.raises(DataError, match="has no option qstep; it takes Ei, geometry, q_step"):
        read(path, qstep=1)


def test_a_final_energy_of_each_detector_makes_the_geometry_indirect(tmp_path):
    (data,) = read(powder(tmp_path / "x.nxspe", Ei=np.linspace(6, 7, 60)), q_step=0.1)
    assert "Ei" not in data.coords
    centre = data.coords["energy_transfer"].values[-1]
    Q = np.sqrt((7 + centre) / MEV + 7 / MEV - 2 * np.sqrt((7 + centre) * 7) / MEV * np.cos(np.radians(120)))
    last = data.coords["Q_abs"].values[np.flatnonzero(data.coords["detectors"].values[:, -1])[-1]]
    assert abs(last - Q) <= 0.05
    same = read(powder(tmp_path / "y.nxspe", Ei=7.0), geometry="indirect")[0]
    assert "Ei" not in same.coords
    with pytest.raises(DataError, match="neither direct nor indirect"):
        read(powder(tmp_path / "y.nxspe"), geometry="sideways")


def crystal_file(path, psi=0.0):
    polar, azimuthal = np.array([30.0, 30.0, 60.0, 90.0]), np.array([0.0, 180.0, 90.0, 45.0])
    intensity = np.arange(40.0).reshape(4, 10) + 1
    return nxspe(path, intensity, np.sqrt(intensity), ENERGY, polar, azimuthal, psi=psi), polar, azimuthal


def test_a_square_crystal_along_the_beam_has_the_hkl_of_the_laboratory(tmp_path):
    path, polar, azimuthal = crystal_file(tmp_path / "x.nxspe")
    (data,) = read(path, lattice=(4, 4, 5, 90, 90, 90), u=(1, 0, 0), v=(0, 1, 0))
    assert data.dims == ("point",) and data.sizes["point"] == 40
    omega = data.coords["energy_transfer"].values.reshape(4, 10)
    t, f = np.radians(polar)[:, None], np.radians(azimuthal)[:, None]
    ki, kf = np.sqrt(20 / MEV), np.sqrt((20 - omega) / MEV)
    Q = np.stack([ki - kf * np.cos(t), -kf * np.sin(t) * np.cos(f), -kf * np.sin(t) * np.sin(f)], axis=-1)
    found = np.stack([data.coords[c].values.reshape(4, 10) for c in "hkl"], axis=-1)
    np.testing.assert_allclose(found, Q * np.array([4, 4, 5]) / (2 * np.pi), rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(data.values.reshape(4, 10), np.arange(40.0).reshape(4, 10) + 1)
    assert data.coords["lattice"].value == "4, 4, 5, 90, 90, 90"


def test_a_quarter_turn_brings_v_against_the_beam(tmp_path):
    # ψ = 90°: u points to the left of k_i, seen along it; so k_i lies along -v.
    path, _, _ = crystal_file(tmp_path / "x.nxspe", psi=90.0)
    turned, straight = (
        read(path, lattice=(4, 4, 5, 90, 90, 90), u=(1, 0, 0), v=(0, 1, 0), **given)[0] for given in ({}, {"psi": 0.0})
    )
    np.testing.assert_allclose(turned.coords["k"].values, -straight.coords["h"].values, atol=1e-9)
    np.testing.assert_allclose(turned.coords["h"].values, straight.coords["k"].values, atol=1e-9)
    np.testing.assert_allclose(turned.coords["l"].values, straight.coords["l"].values, atol=1e-9)


def test_any_lattice_and_orientation_keeps_the_modulus_of_q(tmp_path):
    path, polar, _ = crystal_file(tmp_path / "x.nxspe", psi=33.0)
    lattice = (4.0, 5.0, 6.0, 80.0, 95.0, 110.0)
    (data,) = read(path, lattice=lattice, u=(1, 1, 0), v=(0, 1, 2))
    cosines = np.cos(np.radians(lattice[3:]))
    a = np.array(lattice[:3])
    G = np.outer(a, a) * np.array(
        [[1, cosines[2], cosines[1]], [cosines[2], 1, cosines[0]], [cosines[1], cosines[0], 1]]
    )
    hkl = np.stack([data.coords[c].values for c in "hkl"], axis=1)
    Q2 = 4 * np.pi**2 * np.einsum("ni,ij,nj->n", hkl, np.linalg.inv(G), hkl)
    omega = data.coords["energy_transfer"].values.reshape(4, 10)
    cosine = np.cos(np.radians(polar))[:, None]
    expected = (20 + 20 - omega - 2 * np.sqrt(20 * (20 - omega)) * cosine) / MEV
    np.testing.assert_allclose(Q2.reshape(4, 10), expected, rtol=1e-5)
    # Detectors 0 and 1 are in the plane of u and v, whatever ψ is.
    normal = np.cross((1, 1, 0), (0, 1, 2))
    np.testing.assert_allclose(hkl[:20] @ normal, 0, atol=1e-9)


def test_a_damaged_file_is_named_by_its_place(tmp_path):
    path = powder(tmp_path / "x.nxspe")
    for key, value, message in (
        ("error", np.zeros((3, 3)), "its errors"),
        ("polar", np.zeros(5), "5 polar and 60 azimuthal angles"),
        ("energy", np.zeros(11), "does not rise or fall"),
        ("energy", np.zeros(40), "40 values where 10 bins need"),
        ("data", np.full((60, 10), np.nan), "nothing was measured"),
        ("data", np.zeros((0, 10)), "shape"),
    ):
        broken = powder(tmp_path / "broken.nxspe")
        with h5py.File(broken, "a") as file:
            del file[f"some_name/data/{key}"]
            file[f"some_name/data/{key}"] = value
        with pytest.raises(DataError, match=message):
            read(broken)
    assert read(path)


def test_one_bin_without_a_number_masks_no_detector(tmp_path):
    intensity, sigma = flat()
    intensity[:, 0], intensity[7] = np.nan, np.nan
    (data,) = read(powder(tmp_path / "x.nxspe", intensity, sigma), q_step=0.2, trusted=True)
    assert data.coords["detectors"].values.sum() == 59 * 9
    assert data.masks["missing"].values[:, 0].all()
    noted = data.coords["noted"].value
    assert "1 of 60 detectors are masked" in noted and "59 of 600 pixels are NaN" in noted


@pytest.mark.parametrize(("name", "caught"), [("firstnan", 47), ("allfirstnan", 42)])
def test_detectors_with_a_bad_first_bin_are_read(shared, name, caught):
    (data,) = read(shared / "cases" / "spe" / f"{name}.nxspe", trusted=True)
    assert data.coords["detectors"].values.sum() == caught


def test_energies_and_angles_are_in_the_units_that_the_file_says(tmp_path):
    (usual,) = read(powder(tmp_path / "x.nxspe"), q_step=0.2, trusted=True)
    path = powder(tmp_path / "y.nxspe", Ei=2e4)
    with h5py.File(path, "a") as file:
        entry = file["some_name"]
        for name, factor, unit in (("polar", np.pi / 180, "radian"), ("energy", 1e3, "micro eV")):
            entry["data"][name][...] = entry["data"][name][()] * factor
            entry["data"][name].attrs["units"] = unit
        entry["NXSPE_info/fixed_energy"].attrs["units"] = "ueV"
    (data,) = read(path, q_step=0.2, trusted=True)
    assert data.coords["Ei"].value == pytest.approx(20)
    np.testing.assert_allclose(data.coords["Q_abs"].values, usual.coords["Q_abs"].values)
    np.testing.assert_array_equal(data.coords["detectors"].values, usual.coords["detectors"].values)
    np.testing.assert_allclose(data.coords["energy_transfer"].values, usual.coords["energy_transfer"].values)
    with h5py.File(path, "a") as file:
        file["some_name/data/energy"].attrs["units"] = "furlong"
    with pytest.raises(DataError, match="is in 'furlong', which is no unit of energy"):
        read(path, trusted=True)
