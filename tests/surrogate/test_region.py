"""Parts of reciprocal space: drawn from, asked within, refused outside, whatever image of a wavevector is meant."""

import dataclasses

import jax
import numpy as np
import pytest

from insiren.errors import OutsideDomain, SurrogateError
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.surrogate.domain import find_domain
from insiren.surrogate.inputs import chosen_inputs
from insiren.surrogate.region import Region

INSIDE = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.08}
ONCE = np.eye(2)[None]  # no symmetry
NEVER = np.zeros(2)


@pytest.fixture(scope="module")
def square(simulator):
    return simulator.model


@pytest.fixture(scope="module")
def whole(simulator):
    return find_domain(simulator, (0.0, 190.0))


def test_a_tube_holds_what_lies_within_its_radius_and_nothing_else(square):
    tube = Region.path(square, "M X", 0.05)  # from (1/2, 1/2) to (1/2, 0)
    Q = np.array([[0.5, 0.25], [0.549, 0.25], [0.551, 0.25], [0.5, -0.049], [0.5, -0.051], [0.46, 0.53]])
    assert tube.holds(Q, (0, 1), NEVER, ONCE).tolist() == [True, True, False, True, False, True]


def test_tubes_of_several_paths_are_one_region(square):
    both = Region.path(square, ("M X", "P M"), 0.05)
    one, other = (Region.path(square, text, 0.05) for text in ("M X", "P M"))
    Q = np.random.default_rng(0).uniform(0, 1, (500, 2))
    either = one.holds(Q, (0, 1), NEVER, ONCE) | other.holds(Q, (0, 1), NEVER, ONCE)
    assert 0 < either.sum() < 500
    assert both.holds(Q, (0, 1), NEVER, ONCE).tolist() == either.tolist()


def test_a_slab_holds_a_plane_of_any_direction():
    slab = Region.plane((1, 1, 0), (0, 0, 1), (0, 0, 0.5), 0.02)
    Q = np.array([[0.3, 0.3, 0.1], [0.31, 0.29, -0.4], [0.4, 0.3, 0.1], [1.1, 1.1, 0], [0.2, 0.2, 1.6]])
    assert slab.holds(Q, (0, 1, 2), np.zeros(3), np.eye(3)[None]).tolist() == [True, True, False, False, False]
    with pytest.raises(SurrogateError, match=r"1,1,0 and 2,2,0 r\.l\.u\. lie in one line"):
        Region.plane((1, 1, 0), (2, 2, 0))
    with pytest.raises(SurrogateError, match="holds no wavevectors"):
        Region.plane((1, 1, 0), (0, 0, 1), around=0.0)


@pytest.mark.parametrize("kind", ["path", "plane", "volume"])
def test_draws_fill_a_region_and_all_their_images_are_inside(whole, square, simulator, kind):
    region = {
        "path": Region.path(square, "P M X", 0.04),
        "plane": Region.plane((1, 1, 0), (0, 0, 1), around=0.05),
        "volume": {"h": (0.1, 0.3), "k": (-0.2, 0.2)},
    }[kind]
    domain = find_domain(simulator, (0.0, 190.0), region)
    assert domain.period == whole.period and domain.operations == whole.operations
    hkl = np.asarray(domain.draw(jax.random.key(0), 300))
    rng = np.random.default_rng(1)
    R = np.array(domain.operations)[rng.integers(0, 8, 300)]
    images = hkl.copy()
    images[:, :2] = np.einsum("qab,qb->qa", R, hkl[:, :2]) + rng.integers(-3, 4, (300, 2))
    params = {p.name: p.value for p in domain.inputs}
    domain.refuse_outside(params, Points(hkl=images, omega=np.full(300, 50.0)))
    far = np.array([[0.42, 0.07, 0.0]])
    with pytest.raises(OutsideDomain, match=r"1 of 1 wavevectors, \(0.42, 0.07, 0\) r.l.u. the first"):
        domain.refuse_outside(params, Points(hkl=far, omega=[50.0]))
    low, high = np.array(domain.q_range).T
    x = np.asarray(domain.fold(images))
    assert np.all(x >= low - 0.01) and np.all(x <= high + 0.01)  # the range was found by drawing
    assert np.all(x.max(0) - x.min(0) > 0.8 * (high - low))


def test_ranges_of_axes_that_make_no_sense_are_refused(simulator):
    with pytest.raises(SurrogateError, match="does not depend on l"):
        find_domain(simulator, (0.0, 190.0), {"l": (0.0, 1.0)})
    with pytest.raises(SurrogateError, match="A range is of h, k or l, not of x"):
        find_domain(simulator, (0.0, 190.0), {"x": (0.0, 1.0)})


def test_a_surrogate_refuses_what_lies_outside_its_region(surrogate, square):
    region = Region.path(square, "P M X", 0.05)
    narrow = dataclasses.replace(surrogate, domain=dataclasses.replace(surrogate.domain, region=region))
    assert np.all(np.isfinite(narrow(INSIDE, Points.table([[0.5, 0.2, 0], [-0.5, 1.2, 3]], [30.0, 60.0]))))
    with pytest.raises(OutsideDomain, match="lie with all their images outside the region"):
        narrow(INSIDE, Points.table([[0.5, 0.2, 0], [0.3, 0.1, 0]], [30.0]))


def test_a_spectrum_of_sites_on_thirds_of_the_cell_repeats_every_three_cells():
    model = load_model("honeycomb-dm")
    blind = type(model).from_dict({**model.model_dump(by_alias=True), "scattering": {"correlation": "trace"}})
    domain = find_domain(exact(blind), (0.0, 30.0))
    assert domain.axes == (0, 1) and domain.period == (3, 3)
    assert len(domain.operations) >= 6  # turns by 60°
    Q = np.random.default_rng(0).uniform(-3, 3, (5, 3))
    folded = np.column_stack([np.asarray(domain.fold(Q)), np.zeros(5)])
    energies = np.linspace(1.0, 29.0, 40)
    S, same = (np.asarray(exact(blind).draft({}, Points.table(x, energies))) for x in (Q, folded))
    np.testing.assert_allclose(S, same, atol=1e-6 * S.max())


def test_any_parameters_become_inputs(simulator):
    found = chosen_inputs(simulator.parameters, ["width"], {"q_fwhm": 0.0}, {"J": (25.0, 35.0)})
    assert [(p.name, p.min, p.max) for p in found if p.free] == [("J", 25, 35), ("Jp", -30, 10), ("width", 0.3, 3.0)]
    domain = find_domain(simulator, (20.0, 120.0), parameters=found)
    assert [p.name for p in domain.inputs] == ["J", "Jp", "width"] and dict(domain.fixed) == {"q_fwhm": 0.0}
    assert domain.omega == (20.0, 120.0)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"free": ["K"]}, "No parameter is called 'K'"),
        ({"free": ["width"], "fixed": {"width": 1.0}}, "both free and fixed"),
        ({"bounds": {"width": (0.5, 2.0)}}, "width has bounds but is no input"),
        ({"bounds": {"J": (35.0, 25.0)}}, "the first the lower"),
        ({"fixed": {"J": 29.0, "Jp": 1.0, "q_fwhm": 0.1}}, "No parameter is free"),
    ],
)
def test_inputs_that_make_no_sense_are_refused(simulator, wishes, said):
    with pytest.raises(SurrogateError, match=said):
        chosen_inputs(simulator.parameters, **wishes)
