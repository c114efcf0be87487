"""What a fit chooses by itself: legs, weights and background, by what the data say of them."""

import json

import numpy as np
import pytest
import scipp as sc
from theory import HKL, OMEGA, THEORY, TRUTH, expected, seen

import insiren as ins
from insiren.data.legs import separate_legs
from insiren.data.scatter import follow_counts
from insiren.data.spectrum import image
from insiren.fit.automatic import FOLLOW
from insiren.fit.systematics import systematics

BEND = 1.5 * np.linspace(0, 1, len(HKL))[:, None] ** 2 * np.exp(-OMEGA / 8)  # of Q as well as of the energy
ROUGH = 0.6 * np.random.default_rng(5).normal(size=len(OMEGA))  # another value at each energy


def counted(seed: int, neutrons: float = 20.0) -> sc.DataArray:
    """The ridge counted, with the σ of each pixel's own counts."""
    mean = neutrons * (2.0 * expected() + 0.5)
    n = np.random.default_rng(seed).poisson(mean)
    return image("counted", HKL, OMEGA, n / neutrons, np.sqrt(np.maximum(n, 1)) / neutrons)


@pytest.mark.parametrize(
    ("background", "wanted"), [(0.4, "smooth"), (ROUGH, "per-energy"), (BEND, "lowrank")], ids=["flat", "rough", "bent"]
)
def test_the_background_is_the_one_that_the_data_ask_for(background, wanted):
    found = ins.fit(THEORY, seen(3, background))
    chosen = found.choices["background"]
    assert found.background == chosen["chosen"] == wanted and not chosen["asked"]
    assert chosen["neg2_log_evidence"][wanted] == 0.0 and set(chosen["neg2_log_evidence"]) == {
        "per-energy", "smooth", "lowrank"
    }  # fmt: skip
    for name in ("A", "B"):
        assert abs(found.values[name] - TRUTH[name]) < 4 * (found.errors[name] or 0.0)


def test_the_answer_is_that_of_the_same_choices_made_by_hand():
    data = seen(4, BEND)
    by_itself = ins.fit(THEORY, data)
    by_hand = ins.fit(THEORY, data, background="lowrank", weights="data")
    assert by_hand.choices["background"] == {"chosen": "lowrank", "asked": True}
    for name in ("A", "B"):
        assert by_itself.values[name] == pytest.approx(by_hand.values[name], abs=0.03 * (by_hand.errors[name] or 0.0))
        assert by_itself.errors[name] == pytest.approx(by_hand.errors[name], rel=0.01)


def test_sigmas_of_counts_follow_each_pixel_and_known_ones_do_not():
    assert (follow_counts(counted(1)) or 0.0) > FOLLOW
    sigma = np.broadcast_to(0.2 + OMEGA / 50, expected().shape)  # another time of counting at each energy
    known = image("known", HKL, OMEGA, np.random.default_rng(2).normal(expected(), sigma), sigma)
    assert abs(follow_counts(known) or 0.0) < FOLLOW
    assert follow_counts(seen(1, 0.0)) == 0.0


def test_weights_are_the_models_where_those_of_the_data_would_pull_the_answer():
    found = ins.fit(THEORY, counted(1), background="per-energy")
    assert found.settings["weights"] == found.choices["weights"]["chosen"] == "model"
    assert ins.fit(THEORY, seen(1, ROUGH), background="per-energy").settings["weights"] == "data"


def bent_path(second: float, seed: int = 6) -> sc.DataArray:
    """A path with a corner that comes twice, its second leg counted with another scale."""
    turned = np.stack([np.full(24, HKL[-1, 0]), np.linspace(0, 1, 24), np.zeros(24)], axis=1)
    ridge = np.concatenate([2.0 * expected(), second * np.repeat(expected()[-1:], 24, axis=0)])
    values = ridge + 0.3 + 0.2 * np.random.default_rng(seed).normal(size=ridge.shape)
    return image("path", np.concatenate([HKL, turned]), OMEGA, values, np.full(values.shape, 0.2))


def test_a_corner_that_comes_twice_parts_a_path_into_legs():
    path = bent_path(3.0)
    apart, why = separate_legs(path)
    assert apart and "1 of its 1 corner(s) come twice with two intensities" in why
    assert not separate_legs(path["Q", :24].copy())[0]
    once = sc.concat([path["Q", :24], path["Q", 25:]], "Q")
    once.name = "once"
    assert not separate_legs(once)[0]
    same = path.copy()
    same.values[24] = same.values[23]
    assert not separate_legs(same)[0]


def test_legs_are_found_with_the_background_and_known_to_systematics():
    path = bent_path(3.0)
    found = ins.fit(THEORY, path)
    assert found.choices["legs"]["chosen"] and [m.measured.name for m in found.maps] == ["path-1", "path-2"]
    scales = [float(m.profile.scale) for m in found.maps]
    assert scales == pytest.approx([2.0, 3.0], abs=0.2)
    assert json.loads(json.dumps(found.to_dict()))["choices"]["legs"]["chosen"]
    assert systematics(found, path).systematics is not None
    whole = ins.fit(THEORY, path, background="per-energy", weights="data")
    assert len(whole.maps) == 1 and not whole.choices["legs"]["chosen"]
