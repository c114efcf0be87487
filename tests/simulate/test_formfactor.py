"""Magnetic form factors against those of another programme, and the names of ions."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from insiren.errors import ModelError
from insiren.simulate.formfactor import coefficients, form_factor, form_factors

Q_REFERENCE = np.sqrt(0.57)  # 1/Å, the one |Q| of the reference values

# The reference weighs <j2> of these by (2 − g)/g with the Landé g of the free ion. Hund's rules give the term
# of an ion with an open f shell of so many electrons; those with two open shells stand below.
F_ELECTRONS = {
    **{"Ce3": 1, "Ce2": 2, "Pr3": 2, "Nd3": 3, "Nd2": 4, "Sm3": 5, "Eu2": 7, "Gd3": 7, "Tb3": 8, "Tb2": 9, "Dy3": 9},
    **{"Dy2": 10, "Ho3": 10, "Ho2": 11, "Er3": 11, "Er2": 12, "Tm3": 12, "Tm2": 13, "Yb3": 13},
    **{"U5": 1, "U4": 2, "U3": 3, "Np6": 1, "Np5": 2, "Np4": 3, "Np3": 4, "Pu6": 2, "Pu5": 3, "Pu4": 4, "Pu3": 5},
    **{"Am7": 2, "Am6": 3, "Am5": 4, "Am4": 5, "Am2": 7},
}
# (S, L, J) of the ground state, in which an s or a 5d electron takes part. Source: NIST Atomic Spectra Database.
TERMS = {
    "Y0": (0.5, 2, 1.5),  # 4d 5s²
    "Zr0": (1, 3, 2),  # 4d² 5s²
    "Zr1": (1.5, 3, 1.5),  # 4d² 5s
    "Nb0": (2.5, 2, 0.5),  # 4d⁴ 5s
    "Mo0": (3, 0, 3),  # 4d⁵ 5s
    "Mo1": (2.5, 0, 2.5),  # 4d⁵
    "Tc0": (2.5, 0, 2.5),  # 4d⁵ 5s²
    "Tc1": (3, 0, 3),  # 4d⁵ 5s
    "Ru0": (2, 3, 5),  # 4d⁷ 5s
    "Ru1": (1.5, 3, 4.5),  # 4d⁷
    "Rh0": (1.5, 3, 4.5),  # 4d⁸ 5s
    "Rh1": (1, 3, 4),  # 4d⁸
    "Pd1": (0.5, 2, 2.5),  # 4d⁹
    "Gd2": (4, 2, 2),  # 4f⁷ 5d
}
# Of 95 values 93 are compared. periodictable has only J, <j0> and <j2> in one fit, of Ce³⁺, and no <j2> of Pr³⁺; the
# reference takes those from elsewhere. V0 and Ni3 are not among the values: periodictable has another fit of
# <j2> of V0, another of <j0> of Ni3, and its <j2> of Ni3 is that of Ni4 to the last digit. It lacks Mn5.
NOT_IN_PERIODICTABLE = {"Ce3", "Pr3"}


def lande(S: float, L: float, J: float) -> float:
    return 1.5 + (S * (S + 1) - L * (L + 1)) / (2 * J * (J + 1))


def hund(electrons: int, l: int = 3) -> tuple[float, float, float]:
    orbitals = 2 * l + 1
    up = min(electrons, orbitals)
    down = electrons - up
    S = (up - down) / 2
    L = abs(sum(range(l, l - up, -1)) + sum(range(l, l - down, -1)))
    return S, L, abs(L - S) if electrons < orbitals else L + S


def j2_weight(entry: dict) -> float:
    if entry["j2_weight"] != "free_ion":
        return entry["j2_weight"]
    ion = entry["ion"]
    g = lande(*(TERMS[ion] if ion in TERMS else hund(F_ELECTRONS[ion])))
    return (2 - g) / g


def test_hunds_rules_give_the_lande_factors_of_the_rare_earths():
    # Ce³⁺, Pr³⁺, Nd³⁺, Sm³⁺, Gd³⁺, Tb³⁺, Dy³⁺, Er³⁺, Yb³⁺.
    # Source: Jensen and Mackintosh, Rare Earth Magnetism, table 1.1.
    found = [lande(*hund(n)) for n in (1, 2, 3, 5, 7, 8, 9, 11, 13)]
    np.testing.assert_allclose(found, [6 / 7, 4 / 5, 8 / 11, 2 / 7, 2, 3 / 2, 4 / 3, 6 / 5, 8 / 7], rtol=1e-12)


def test_form_factors_agree_with_those_of_another_programme(shared: Path):
    entries = json.loads((shared / "reference" / "lswt_cases.json").read_text(encoding="utf-8"))["form_factors"][
        "values"
    ]
    compared = [entry for entry in entries if entry["ion"] not in NOT_IN_PERIODICTABLE]
    assert (len(entries), len(compared)) == (95, 93)
    found = [form_factor(entry["ion"], Q_REFERENCE, j2_weight(entry)) for entry in compared]
    # Within the digits to which the two programmes print their tables: 8e-8 was found.
    np.testing.assert_allclose(found, [entry["F"] for entry in compared], rtol=0, atol=2e-7)


def test_the_ions_that_differ_from_the_other_programme_still_do_as_recorded():
    # The header of the reference gives these two; a change means that periodictable mended its tables.
    np.testing.assert_allclose(form_factor("V0", Q_REFERENCE, 0.1), 0.942564, atol=5e-7)
    np.testing.assert_allclose(form_factor("Ni3", Q_REFERENCE, 0.1), 0.978876, atol=5e-7)
    np.testing.assert_array_equal(coefficients("Ni3")[1], coefficients("Ni4")[1])
    with pytest.raises(ModelError, match=r"Mn5 is not tabulated\. .*Mn0, Mn1, Mn2, Mn3, Mn4"):
        form_factor("Mn5", 0.0)


def test_the_default_is_the_spin_alone():
    j0, _ = coefficients("Ni2")
    A, a, B, b, C, c, D = j0
    s2 = (3.0 / (4 * np.pi)) ** 2
    expected = A * np.exp(-a * s2) + B * np.exp(-b * s2) + C * np.exp(-c * s2) + D
    np.testing.assert_allclose(form_factor("Ni2", 3.0), expected, rtol=1e-14)
    assert form_factor("Ni2", 3.0, 0.1) > form_factor("Ni2", 3.0)


@pytest.mark.parametrize("ion", ["Sc0", "Ti1", "Cr1", "Ni2", "Rh0", "Dy3", "U4"])
def test_at_zero_q_it_is_one_within_the_error_of_the_fits_whatever_the_orbital_weight(ion: str):
    F = form_factor(ion, jnp.zeros(2), jnp.array([0.0, 1.5]))
    assert F[0] == F[1] == pytest.approx(1.0, abs=2.5e-3)
    np.testing.assert_allclose(F[0], coefficients(ion)[0][::2].sum(), rtol=1e-12)  # nothing is renormalised


def test_it_has_fallen_off_at_large_q():
    assert abs(float(form_factor("Ni2", 30.0))) < 0.02


@pytest.mark.parametrize("orbital", [0.0, 0.5])
def test_the_gradient_in_q_is_that_of_finite_differences(orbital: float):
    for Q in (0.3, 1.6, 5.0):
        step = 1e-5
        slope = (form_factor("Cu2", Q + step, orbital) - form_factor("Cu2", Q - step, orbital)) / (2 * step)
        np.testing.assert_allclose(jax.grad(lambda x: form_factor("Cu2", x, orbital))(Q), slope, rtol=1e-8)


def test_the_gradient_at_zero_q_is_zero():
    assert jax.grad(lambda Q: form_factor("Nd3", Q, 1.75))(0.0) == 0.0


def test_the_gradient_in_the_orbital_weight_is_j2():
    slope = jax.grad(lambda weight: form_factor("Nd3", 2.0, weight))(1.0)
    np.testing.assert_allclose(slope, form_factor("Nd3", 2.0, 1.0) - form_factor("Nd3", 2.0), rtol=1e-12)


def test_sites_come_in_their_order_and_under_jit():
    Q = jnp.linspace(0.0, 6.0, 7)
    ions, weights = ("Ni2", "Dy3", "Ni2", "Dy3"), (0.0, 0.5, 0.0, 0.0)
    F = jax.jit(lambda q: form_factors(ions, q, weights))(Q)
    assert F.shape == (7, 4)
    for n, (ion, weight) in enumerate(zip(ions, weights, strict=True)):
        np.testing.assert_allclose(F[:, n], form_factor(ion, Q, weight), rtol=1e-14)
    np.testing.assert_array_equal(form_factors(("Ni2",), Q)[:, 0], form_factor("Ni2", Q))


@pytest.mark.parametrize(
    ("name", "same"),
    [("Ni2+", "Ni2"), ("MNI2", "Ni2"), ("ni2", "Ni2"), ("MN2", "Mn2"), ("MMN2", "Mn2"), ("MO1", "Mo1"), ("MU3", "U3")],
)
def test_names_of_an_ion_mean_the_same(name: str, same: str):
    np.testing.assert_array_equal(coefficients(name)[0], coefficients(same)[0])


def test_an_unknown_charge_is_refused_with_those_there_are():
    with pytest.raises(ModelError, match=r"Ni7 is not tabulated\. .*Ni0, Ni1, Ni2, Ni3, Ni4"):
        form_factor("Ni7", 1.0)


def test_an_unknown_element_is_refused_with_those_there_are():
    with pytest.raises(ModelError, match=r"'Xx2'.*Ni, Cu"):
        form_factor("Xx2", 1.0)


@pytest.mark.parametrize("name", ["Ni", "", "2", "Ni2-", "Ni+2"])
def test_a_name_without_element_and_charge_is_refused(name: str):
    with pytest.raises(ModelError, match=r"cannot be read.*'Ni2'"):
        form_factor(name, 1.0)


def test_an_ion_tabulated_only_with_its_orbital_part_is_refused():
    with pytest.raises(ModelError, match=r"Ce3 is tabulated only with its orbital part.*Ce2\."):
        form_factor("Ce3", 1.0)


def test_an_orbital_weight_without_a_table_is_refused_but_the_spin_is_not():
    assert 0 < form_factor("Pr3", 2.0) < 1
    with pytest.raises(ModelError, match=r"no <j2>.*weight of 1\.5"):
        form_factor("Pr3", 2.0, 1.5)


def test_a_wrong_number_of_orbital_weights_is_refused():
    with pytest.raises(ModelError, match="1 orbital weights for 2 ions"):
        form_factors(("Ni2", "Ni2"), jnp.ones(1), (0.0,))


def test_the_cached_table_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        coefficients("Ni2")[0][0] = 1.0
