"""Which structures are called stable, and where one that is not leads to."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from insiren.errors import UnstableStructure
from insiren.forward import complete
from insiren.model.spec import Model, load_model
from insiren.simulate.stability import is_stable, require_stable
from insiren.simulate.zone import zone

STUDY = Path(__file__).parents[2] / "studies" / "stability.py"


def chain(J2: float, **structure: Any) -> Model:
    """Ferromagnetic chains along c with a second neighbour, weakly coupled side by side."""
    bonds = [([0, 0, 1], -10.0), ([0, 0, 2], J2), ([1, 0, 0], -0.2), ([0, 1, 0], -0.2)]
    return Model.from_dict({
        "crystal": {"a": 5.0, "b": 6.0, "c": 3.0},
        "site": [{"position": [0, 0, 0], "spin": 0.5}],
        "bond": [{"i": 0, "j": 0, "offset": offset, "exchange": J} for offset, J in bonds],
        "structure": {"directions": [[1, 0, 0]]} | structure,
        "instrument": {"resolution": {"constant": 0.1}},
    })  # fmt: skip


def refusal(model: Model) -> str:
    with pytest.raises(UnstableStructure) as caught:
        require_stable(model, complete(model.all_parameters, {}))
    return str(caught.value)


@pytest.mark.parametrize("name", ["la2nio4", "diamond", "chain"])
def test_the_zone_holds_its_points_of_symmetry_where_bonds_reach(name: str):
    model = load_model(name)
    found = zone(model)
    every = found.points[found.half]
    inner = np.round(every @ np.array(model.structure.cell, float).T, 9) % 1
    assert len(found.points) < 0.6 * len(every) + 5
    for axis, n in enumerate(found.shape):
        if n > 1:
            for wanted in (0, 1 / 2, 1 / 3, 1 / 4, 1 / 6):
                assert np.any(np.isclose(inner[:, axis], wanted))


def test_a_pocket_between_the_points_of_a_grid_is_found_and_its_k_is_offered():
    said = refusal(chain(2.8))  # E(l) = 10 (1 − cos 2πl) − 2.8 (1 − cos 4πl) is least where cos 2πl = 10 / 11.2
    least = np.arccos(10 / 11.2) / 2 / np.pi
    assert f"eigenvalue -0.0643 meV at Q = (0, 0, {least:.4f}) r.l.u." in said
    assert f"k = [0, 0, {least:.4f}]" in said and "insiren models FILE --minimise --free-k" in said


def test_that_chain_is_stable_with_less_frustration_and_as_the_spiral_that_was_offered():
    params: dict[str, float] = {}
    assert is_stable(chain(2.5), params)
    spiral = [0, 0, float(np.arccos(10 / 11.2) / 2 / np.pi)]
    assert is_stable(chain(2.8, k=spiral, axis=[0, 0, 1]), params)
    assert is_stable(chain(2.8, k=np.round(spiral, 4).tolist(), axis=[0, 0, 1]), params)  # as the message prints it


def test_a_rotating_frame_is_named_and_the_k_that_is_offered_is_that_of_the_crystal():
    said = refusal(chain(2.8, k=[0, 0, 0.02], axis=[0, 0, 1]))
    assert "r.l.u. of the rotating frame" in said and "k = [0, 0, 0.07" in said


def test_a_supercell_leads_to_the_k_of_the_crystal_and_not_of_its_own_zone():
    bonds = [([0, 0, 1], 10.0), ([0, 0, 2], 2.8)]  # the same chain with every second spin turned over
    content = chain(2.8).model_dump(exclude_none=True)
    content["bond"] = [{"i": 0, "j": 0, "offset": offset, "exchange": J} for offset, J in bonds]
    content["structure"] = {"directions": [[1, 0, 0], [-1, 0, 0]], "supercell": [1, 1, 2]}
    said = refusal(Model.from_dict(content))
    assert f"k = [0, 0, {0.5 - np.arccos(10 / 11.2) / 2 / np.pi:.4f}]" in said


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("studies_stability", STUDY)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_random_models_are_called_what_a_dense_grid_finds_them_to_be(study: ModuleType):
    for model, params, low, band in study.models(4, 16):
        said, right = study.verdict(model, params, low, band)
        assert right, f"{model.name}: {low / band:.2e} of the band, called {said}"
