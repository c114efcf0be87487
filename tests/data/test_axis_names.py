"""Names and units of axes as users write them: what they mean, and what nobody can know."""

import pytest

from insiren.data.files.axis_names import is_inverse_angstrom, meaning

ANGSTROM = ["1/angstrom", "Angstrom^-1", "1/A", "1/Å", "Å⁻¹", "A^{-1}", "angstrom**-1", "invA", "inv_Ang", "A-1",
            "inverse angstroms", "1/(Å)", "MomentumTransfer"]  # fmt: skip
ENERGIES = {"meV": 1.0, "MEV": 1.0, "DeltaE": 1.0, "": 1.0, "µeV": 1e-3, "μeV": 1e-3, "ueV": 1e-3, "micro eV": 1e-3,
            "eV": 1e3, "THz": 4.1356677, "GHz": 4.1356677e-3, "cm-1": 0.12398420, "cm^{-1}": 0.12398420}  # fmt: skip


@pytest.mark.parametrize("unit", ANGSTROM)
def test_an_inverse_angstrom_is_known_in_every_spelling(unit):
    found = meaning("Q", unit)
    assert found is not None and (found.kind, found.factor) == ("Q_abs", 1.0)
    assert is_inverse_angstrom(unit)


@pytest.mark.parametrize("unit", ["1/nm", "nm^-1", "inverse nanometers"])
def test_an_inverse_nanometre_is_a_tenth_of_it(unit):
    found = meaning("Q", unit)
    assert found is not None and found.factor == 0.1
    assert not is_inverse_angstrom(unit)


@pytest.mark.parametrize(("unit", "factor"), ENERGIES.items())
def test_units_of_energy_are_converted(unit, factor):
    """Source: h = 4.135667696e-15 eV s and hc = 1.239841984e-4 eV cm, CODATA 2018."""
    found = meaning("energy transfer", unit)
    assert found is not None and found.kind == "energy"
    assert found.factor == pytest.approx(factor, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "unit", "kind", "factor"),
    [
        ("Q (1/nm)", "", "Q_abs", 0.1),
        ("E (ueV)", "", "energy", 1e-3),
        ("Energy transfer (meV)", "ueV", "energy", 1e-3),
        ("h (r.l.u.)", "", "hkl", 1.0),
    ],
)
def test_a_unit_may_stand_in_the_name_and_an_attribute_wins(name, unit, kind, factor):
    found = meaning(name, unit)
    assert found is not None and (found.kind, found.factor) == (kind, factor)


@pytest.mark.parametrize(
    ("name", "unit"), [("Q", ""), ("Q", "r.l.u."), ("E", "K"), ("h", "1/nm"), ("time", "meV"), ("x", "")]
)
def test_what_could_mean_anything_means_nothing(name, unit):
    assert meaning(name, unit) is None
