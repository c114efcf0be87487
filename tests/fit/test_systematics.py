"""Systematic shifts: every row is a refit, and the parts of the data are told from chance."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipp as sc
from theory import fit

from insiren.data.counts import count
from insiren.data.legs import LEG_OF
from insiren.data.spectrum import image
from insiren.errors import FitError
from insiren.fit.compare import STRONG
from insiren.fit.evidence import surprise
from insiren.fit.systematics import STRUCTURE, systematics
from insiren.forward import Parameter, Points, forward

HKL = np.stack([np.linspace(0, 1, 24), np.zeros(24), np.zeros(24)], axis=1)
OMEGA = np.linspace(1, 20, 30)
PARAMETERS = (
    Parameter("A", 12.0, 6.0, 18.0, "meV", True),
    Parameter("B", 5.0, 0.0, 8.0, "meV", False),
    Parameter("width", 1.0, 0.5, 2.0, "", False),
)
NOISE = 0.05


def ridge(params, points: Points):
    centre = params["A"] * jnp.abs(jnp.sin(jnp.pi * points.hkl[points.index, 0])) + params["B"]
    return jnp.exp(-0.5 * ((points.omega - centre) / params["width"]) ** 2)


THEORY = forward(ridge, PARAMETERS)


def data_set(name: str, A: float, seed: int, width: float = 1.0, spread: float = 0.0) -> sc.DataArray:
    """A ridge with noise; its σ vary by a factor up to exp(spread)."""
    rng = np.random.default_rng(seed)
    clean = np.asarray(THEORY({"A": A, "width": width}, Points.table(HKL, OMEGA))).reshape(24, 30)
    sigma = NOISE * np.exp(spread * rng.uniform(-1, 1, (24, 30)))
    return image(name, HKL, OMEGA, clean + 0.3 + sigma * rng.normal(size=(24, 30)), sigma, sigma_floor=NOISE / 2)


@pytest.fixture(scope="module")
def quiet():
    data = [data_set("one", 11.0, 0, spread=1.0), data_set("two", 11.0, 1, spread=1.0)]
    return systematics(fit(THEORY, data, starts=1), data), data


def row(found, what: str):
    (match,) = [r for r in found.systematics.rows if r.what.startswith(what)]
    return match


def parted(found) -> list[str]:
    """The kinds that are parts of the energies, from the lowest border to the highest."""
    return [kind for kind in found.systematics.by_kind if kind.startswith("ω parted at")]


def test_every_choice_has_its_row(quiet):
    kinds = {r.kind for r in quiet[0].systematics.rows}
    assert kinds == {"σ floor", "weights", "background", "width", "Q range", "data sets", *parted(quiet[0])}
    assert len(parted(quiet[0])) == 3
    (left,) = quiet[0].systematics.skipped
    assert left.startswith("background savgol: The background is smoothed over 51 energies but the spectrum has 30")


def test_a_row_is_what_a_fit_of_its_own_gives(quiet):
    found, data = quiet
    higher = fit(THEORY, data, starts=1, sigma_floor=NOISE)
    freed = fit(THEORY, data, starts=1, free=["width"])
    constant = fit(THEORY, data, starts=1, background="constant")
    alone = fit(THEORY, data[:1], starts=1)
    for what, other in (("σ floor ×", higher), ("width free", freed), ("background c", constant), ("one alone", alone)):
        expected = other.values["A"] - found.values["A"]
        assert row(found, what).shift["A"] == pytest.approx(expected, abs=0.01 * found.errors["A"]), what
        assert row(found, what).sigmas["A"] == pytest.approx(row(found, what).shift["A"] / found.errors["A"])


def test_the_upper_half_of_the_energies_is_fitted_alone(quiet):
    found, data = quiet
    masked = []
    for one in data:
        below = one.coords["energy_transfer"].values <= np.median(OMEGA)
        masked.append(one.assign_masks(below=sc.array(dims=["energy_transfer"], values=below)))
    alone = fit(THEORY, masked, starts=1)
    middle = parted(found)[1].removeprefix("ω parted at ")
    assert row(found, f"ω above {middle}").shift["A"] == pytest.approx(
        alone.values["A"] - found.values["A"], abs=0.01 * found.errors["A"]
    )


def test_where_nothing_is_wrong_the_systematic_error_is_no_larger_than_a_few_statistical_ones(quiet):
    found = quiet[0]
    assert 0 < found.systematics.total["A"] < 3 * found.errors["A"]
    total = found.total_errors["A"]
    assert total == pytest.approx(np.hypot(found.errors["A"], found.systematics.total["A"]))
    misfit = (*parted(found), "Q range", "data sets", STRUCTURE)
    by_kind = {kind: one["A"] for kind, one in found.systematics.by_kind.items()}
    assert set(misfit) < set(by_kind)
    squares = (
        sum(x**2 for kind, x in by_kind.items() if kind not in misfit) + max(by_kind[kind] for kind in misfit) ** 2
    )
    assert found.systematics.total["A"] == pytest.approx(np.sqrt(squares))
    assert found.to_dict()["parameters"]["A"]["total_error"] == total
    assert "systematic" not in found.to_dict()["parameters"]["width"]


def test_weights_of_the_model_have_no_floor_and_are_compared_with_those_of_the_data():
    data = data_set("one", 11.0, 4, spread=1.0)
    found = systematics(fit(THEORY, data, starts=1, weights="model"), data)
    assert "σ floor" not in found.systematics.by_kind
    plain = fit(THEORY, data, starts=1, sigma_floor=0.0)
    expected = plain.values["A"] - found.values["A"]
    assert row(found, "σ of the data").shift["A"] == pytest.approx(expected, abs=0.01 * found.errors["A"])


def test_a_shift_of_a_choice_counts_half(quiet):
    by_kind = quiet[0].systematics.by_kind
    assert by_kind["width"]["A"] in (0.0, pytest.approx(abs(row(quiet[0], "width free").shift["A"]) / 2))


def test_a_background_that_the_data_refute_is_listed_without_counting():
    """A background that falls along Q: one value an energy cannot describe it, one for each energy beside it may."""
    data = data_set("one", 11.0, 0)
    flat = systematics(fit(THEORY, data, starts=1), data)
    assert all(r.counts for r in flat.systematics.rows)
    stiff = systematics(fit(THEORY, data, starts=1, background="lowrank"), data)
    assert row(stiff, "background smooth").counts
    data.values += np.linspace(0.3, 0.0, 24)[:, None]
    found = systematics(fit(THEORY, data, starts=1, background="lowrank"), data)
    refuted = [row(found, f"background {name}") for name in ("per-energy", "smooth", "constant")]
    assert not any(r.counts for r in refuted)
    assert all(r.what.endswith("(refuted by the data; not in the total)") for r in refuted)
    assert max(abs(r.sigmas["A"]) for r in refuted) > 0.1  # which would count
    assert found.systematics.by_kind["background"]["A"] == 0


@pytest.mark.parametrize("neutrons", [300, 30_000])
def test_counts_refute_no_background_that_describes_them(neutrons):
    """With few neutrons χ² and the deviance of the same model are far apart; the comparison must not see that."""
    clean = data_set("one", 11.0, 0)
    clean.values = np.asarray(THEORY({"A": 11.0}, Points.table(HKL, OMEGA))).reshape(24, 30)
    data = count(clean, neutrons, seed=1, background=0.05)
    answers = [systematics(fit(THEORY, data, starts=1, background=name), data) for name in ("constant", "smooth")]
    for found, other in zip(answers, ("smooth", "constant"), strict=True):
        assert found.objective == "poisson" and row(found, f"background {other}").counts
    ours, theirs = (surprise(found.problem, found.theta, [m.measured for m in found.maps], 1.0) for found in answers)
    assert abs(ours - theirs) < STRONG


def test_a_smooth_background_is_as_stiff_in_a_variant_as_in_a_fit_of_its_own(quiet):
    found, data = quiet
    smooth = fit(THEORY, data, starts=1, background="smooth")
    assert row(found, "background smooth").values["A"] == pytest.approx(
        smooth.values["A"], abs=0.01 * found.errors["A"]
    )


def test_two_measurements_that_disagree_widen_the_error_to_their_distance():
    """Of two equal parts at ± δ of the mean the scale factor gives √(δ² − σ²)."""
    delta = 0.1
    data = [data_set("one", 11.0 - delta, 0), data_set("two", 11.0 + delta, 1)]
    found = systematics(fit(THEORY, data, starts=1), data)
    assert found.errors["A"] < 0.2 * delta
    expected = np.sqrt(delta**2 - found.errors["A"] ** 2)
    assert found.systematics.by_kind["data sets"]["A"] == pytest.approx(expected, rel=0.15)


def test_parts_have_the_degrees_of_freedom_of_the_parameters_that_they_hold():
    """Of A and one B for each of two data sets, the parts hold two each: one number can disagree, not three."""
    data = [data_set("one", 10.9, 0), data_set("two", 11.1, 1)]
    found = systematics(fit(THEORY, data, each=["B"], starts=1), data)
    rows = [r for r in found.systematics.rows if r.kind == "data sets"]
    assert [r.freedom for r in rows] == [2, 2]
    S2 = sum(r.gain for r in rows) / (4 - 3)
    assert found.systematics.by_kind["data sets"]["A"] == pytest.approx(found.errors["A"] * np.sqrt(S2 - 1))
    held = systematics(fit(THEORY, data, free=["B"], bounds={"B": (0.0, 4.9)}, starts=1), data)
    assert held.at_bound == (False, True)  # B stays out of the count
    rows = [r for r in held.systematics.rows if r.kind == "data sets"]
    assert [r.freedom for r in rows] == [1, 1]


def test_the_legs_of_a_path_are_fitted_together():
    """Two legs of one path and another data set: the first two are one part of the data."""
    data = [data_set(name, 11.0, n) for n, name in enumerate(("one-1", "one-2", "two"))]
    for leg in data[:2]:
        leg.coords[LEG_OF] = sc.scalar("one")
    found = systematics(fit(THEORY, data, starts=1), data)
    assert [r.what for r in found.systematics.rows if r.kind == "data sets"] == ["one alone", "two alone"]
    both = fit(THEORY, data[:2], starts=1)
    assert row(found, "one alone").values["A"] == pytest.approx(both.values["A"], abs=0.01 * both.errors["A"])


def test_a_part_that_does_not_hold_a_parameter_adds_nothing():
    """Below the ridge's top there is nothing of A; whatever that half says, the error stays."""
    data = data_set("one", 11.0, 2)
    two = fit(THEORY, data, free=["B"], starts=1)
    found = systematics(two, data)
    assert found.systematics.by_kind[parted(found)[1]]["A"] < 2 * found.errors["A"]


def test_a_misfit_of_the_highest_energies_is_found_where_they_are_parted():
    """A quarter of the energies wants another A; halves see less of it, for both hold some that agree."""
    data, other = data_set("one", 11.0, 3), data_set("one", 11.2, 3)
    data.values = np.where(np.quantile(OMEGA, 0.75) < OMEGA, other.values, data.values)
    found = systematics(fit(THEORY, data, starts=1), data)
    low, middle, high = (found.systematics.by_kind[kind]["A"] for kind in parted(found))
    assert high > 1.2 * max(low, middle) and found.systematics.total["A"] >= high


def test_a_table_needs_the_data_of_the_fit(quiet):
    with pytest.raises(FitError, match="The fit is of one, two, the data are two, one"):
        systematics(quiet[0], quiet[1][::-1])
