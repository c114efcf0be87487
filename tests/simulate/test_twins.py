"""Domains in a field: it stays in the laboratory, and each of them is a magnet of its own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import insiren as ins
import systems
from insiren.errors import UnstableStructure
from insiren.forward import complete
from insiren.model.domains import domain_models, domains
from insiren.model.hamiltonian import MU_B
from insiren.model.spec import Model
from insiren.simulate.intensity import magnons
from insiren.simulate.stability import require_stable

X, Z = [1, 0, 0], [0, 0, 1]
HKL = jnp.array([[0.0, 0, 1], [0.13, -0.31, 0.4]])


def magnet(B: list[Any], angles: list[float], directions: Any = "minimise", **more: Any) -> Model:
    """A ferromagnet on a square lattice with the easy axis a, in a field and in domains turned about c."""
    content = systems.square(
        crystal={"a": 4.0, "b": 4.0, "c": 6.0},
        bond=systems.SQUARE_BONDS[:2],
        anisotropy=[{"site": 0, "matrix": [["A", 0, 0], [0, 0, 0], [0, 0, 0]]}],
        field={"B": B},
        structure={"directions": directions} | ({"starts": 4} if directions == "minimise" else {}),
        parameters={"J": systems.parameter(-1.0), "A": systems.parameter(-0.2), "B": systems.parameter(10.0)},
        scattering={
            "correlation": "perp",
            "domains": [{"axis": Z, "angle": angle, "fraction": 1 / len(angles)} for angle in angles],
        },
    )
    return Model.from_dict(content | more)


def lines(model: Model, hkl=HKL, **values: float) -> tuple[np.ndarray, np.ndarray]:
    found = jax.jit(lambda params: magnons(model, params, hkl))(complete(model.all_parameters, values))
    return np.asarray(found[0]), np.asarray(found[1])


def test_a_twin_across_whose_easy_axis_the_field_stands_has_its_own_gap():
    """2|A|S + gμB along the easy axis; √(h (h − 2|A|S)) across it, where h = gμB has turned the spins."""
    twins, h = magnet([10, 0, 0], [0, 90]), 2 * MU_B * 10
    require_stable(twins, complete(twins.all_parameters, {}))
    E, _ = lines(twins)
    np.testing.assert_allclose(E[0], [h + 0.4, np.sqrt(h * (h - 0.4))], rtol=1e-7)
    np.testing.assert_allclose(E[0], [1.558, 0.937], atol=5e-4)


def test_a_turned_domain_is_the_crystal_that_was_turned_in_the_same_field():
    """By 30° about c, in a field along no axis, seen with the polarisation factor of the laboratory."""
    field, (c, s) = [6.0, 3.0, 5.0], (np.cos(np.pi / 6), np.sin(np.pi / 6))
    one = magnet(field, [30])
    R = domains(one)[0].rotation
    turned = magnet(
        field,
        [0],
        crystal={"vectors": (np.diag([4.0, 4.0, 6.0]) @ R.T).tolist()},
        anisotropy=[
            {"site": 0, "matrix": [[f"A*{c * c}", f"A*{c * s}", 0], [f"A*{c * s}", f"A*{s * s}", 0], [0, 0, 0]]}
        ],
    )
    (E, I), (other, weight) = lines(one), lines(turned, HKL @ domains(one)[0].hkl.T)
    np.testing.assert_allclose(E, other, rtol=1e-9)
    np.testing.assert_allclose(I, weight, rtol=1e-9)


def test_domains_that_see_the_same_field_are_one_magnet():
    free, along, lists = (
        magnet([0, 0, 0], [0, 90]),
        magnet([0, 0, "B"], [0, 120, 240]),
        magnet([10, 0, 0], [0, 90, 360]),
    )
    assert domain_models(free) == (free,) and domain_models(along) == (along,)
    first, second, third = (domain.model for domain in domains(lists))
    assert first is lists and third is lists and second != lists
    assert second.field is not None and second.field.B == (0.0, -10.0, 0.0)


def test_a_mirror_leaves_a_field_across_itself_and_reverses_one_within():
    mirror = {"rotation": [[-1, 0, 0], [0, 1, 0], [0, 0, 1]], "fraction": 1.0}
    one = magnet(["B", "2*B", 0], [0], scattering={"domains": [mirror]})
    (seen,) = domain_models(one)
    assert seen.field is not None and seen.field.B == ("(1.0)*(B)", "(-1.0)*(2*B)", 0.0)


def test_a_twin_that_the_field_twists_is_refused_by_its_name_with_what_to_write():
    twins = magnet(["B", 0, 0], [0, 90], directions=[X])
    with pytest.raises(UnstableStructure) as refusal:
        ins.bands(twins, HKL)
    for part in (
        "scattering.domains.1 of square (turned by 90° about [0, 0, 1])",
        "is (0, -10, 0) T along the crystal's axes",
        "a torque of 1.16 meV",
        'write directions = "minimise" in [structure]',
    ):
        assert part in str(refusal.value)


def test_spectra_of_twins_in_a_field_have_the_gradient_of_their_differences():
    twins = magnet(["B", 0, 0], [0, 90])
    start = complete(twins.all_parameters, {})

    @jax.jit
    def spectrum(params):
        E, I = magnons(twins, params, HKL)
        return jnp.sum(I * jnp.exp(-((E - 1.2) ** 2)))

    slope = jax.grad(spectrum)(start)
    for name in ("J", "A", "B"):
        low, high = (spectrum(start | {name: start[name] + step}) for step in (-1e-5, 1e-5))
        assert float(slope[name]) == pytest.approx(float(high - low) / 2e-5, rel=1e-6)
