"""Which correlations the neutron sees, and the stability of a structure over the zone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import systems
from insiren.errors import UnstableStructure
from insiren.model.crystal import to_inverse_angstrom
from insiren.model.spec import Model
from insiren.simulate.intensity import bands, magnons, projection
from insiren.simulate.stability import is_stable, require_stable

HKL = jnp.asarray(np.random.default_rng(5).uniform(-1, 1, (6, 3)))
lines = jax.jit(magnons, static_argnums=0)


def seen(correlation: str) -> tuple[Model, dict[str, float], np.ndarray]:
    model = Model.from_dict(systems.square_biaxial() | {"scattering": {"correlation": correlation, "Zc": 1.1}})
    params = {p.name: p.value for p in model.all_parameters} | {"Dy": 0.2, "Dz": 0.7}
    return model, params, np.asarray(lines(model, params, HKL)[1])


def test_perp_sees_what_is_across_q():
    model, params, I = seen("perp")
    Q = np.asarray(to_inverse_angstrom(model, HKL))
    unit = Q / np.linalg.norm(Q, axis=1, keepdims=True)
    P = np.eye(3) - unit[:, :, None] * unit[:, None, :]
    np.testing.assert_allclose(projection(model, HKL), P, atol=1e-14)
    S = np.asarray(bands(model, HKL, params)[1])
    np.testing.assert_allclose(I, np.einsum("qab,qnab->qn", P, S).real, rtol=1e-9)


def test_nothing_is_projected_out_where_q_is_zero():
    np.testing.assert_array_equal(projection(seen("perp")[0], jnp.zeros((1, 3)))[0], np.eye(3))


def test_the_trace_is_the_sum_of_its_components():
    parts = sum(seen(part)[2] for part in ("Sxx", "Syy", "Szz"))
    np.testing.assert_allclose(parts, seen("trace")[2], rtol=1e-9)
    np.testing.assert_allclose(seen("Sxx+Syy")[2] + seen("Szz")[2], seen("trace")[2], rtol=1e-9)


def test_the_renormalisation_multiplies_energies_and_not_weights():
    plain = Model.from_dict(systems.square_biaxial())
    renormalised, params, I = seen("trace")
    E, weight = lines(plain, params, HKL)
    np.testing.assert_allclose(lines(renormalised, params, HKL)[0], 1.1 * np.asarray(E), rtol=1e-12)
    np.testing.assert_allclose(I, weight, rtol=1e-12)


def test_the_correlation_tensor_of_each_mode_is_hermitian_and_positive():
    model, params, _ = seen("trace")
    S = np.asarray(bands(model, HKL, params)[1])
    np.testing.assert_allclose(S, np.swapaxes(S.conj(), 2, 3), atol=1e-14)
    assert np.min(np.linalg.eigvalsh(S)) > -1e-12


@pytest.mark.parametrize(("Jp", "stable"), [(-30.0, True), (14.4, True), (14.6, False)])
def test_neel_order_holds_up_to_half_of_j(Jp: float, stable: bool):
    model = Model.from_dict(systems.square())
    params = {p.name: p.value for p in model.all_parameters} | {"J": 29.0, "Jp": Jp}
    assert is_stable(model, params) is stable


def test_a_structure_that_is_unstable_at_the_wavevectors_asked_for_is_refused_too():
    model = Model.from_dict(systems.square())
    params = {p.name: p.value for p in model.all_parameters} | {"J": 29.0, "Jp": 15.0}
    with pytest.raises(UnstableStructure, match=r"eigenvalue -.* meV at Q = .* r\.l\.u\. at J = 29, Jp = 15"):
        require_stable(model, params, jnp.asarray([[0.5, 0.0, 0.0]]))
