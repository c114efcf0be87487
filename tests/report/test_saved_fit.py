"""A fit on disk."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from insiren.data.spectrum import image
from insiren.errors import FitError
from insiren.fit.optimise import fit
from insiren.forward import Parameter, forward
from insiren.report import load_fit, save_fit

PARAMETERS = (Parameter("a", 2.0, 0.0, 8.0, "meV", True), Parameter("b", 1.0, 0.5, 1.5, "meV", True))


@pytest.fixture(scope="module")
def found():
    """A fit whose b ends at a bound, so that its covariance holds NaN."""
    h, omega = np.linspace(0, 1, 9), np.linspace(0, 8, 17)
    line = lambda p, q: jnp.exp(-((q.omega - p["a"] - p["b"] * q.hkl[q.index, 0]) ** 2))  # noqa: E731
    values = np.exp(-((omega - 3 - 2.5 * h[:, None]) ** 2))
    data = image("line", np.stack([h, 0 * h, 0 * h], axis=1), omega, values, np.full((9, 17), 0.1))
    return fit(forward(line, PARAMETERS), data, starts=2)


def test_a_saved_fit_comes_back(found, tmp_path):
    path = save_fit(found, tmp_path / "fit.json", {"seconds": {"fit": np.float64(1.5)}, "odd": float("inf")})
    again = load_fit(path)
    assert [file.name for file in tmp_path.iterdir()] == ["fit.json"]
    assert again.values == pytest.approx(found.values)
    assert again.names == found.names == ("a", "b")
    assert again.errors["b"] is None and again.errors["a"] == pytest.approx(found.errors["a"])
    np.testing.assert_allclose(again.covariance, found.covariance)
    assert np.isnan(again.covariance[1, 1])
    assert again.to_dict()["seconds"] == {"fit": 1.5} and again.to_dict()["odd"] is None


def test_the_file_is_json_without_nan(found, tmp_path):
    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(save_fit(found, tmp_path / "fit.json").read_text("utf-8"), parse_constant=refuse)
    assert content["parameters"]["a"]["unit"] == "meV"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "not whole JSON"),
        (lambda text: "[]", "not a saved fit"),
        (lambda text: text.replace('"covariance"', '"other"'), "not a saved fit"),
        (lambda text: text.replace('"a",\n    "b"', '"a"'), "not a saved fit"),
        (lambda text: text.replace('"a",\n    "b"', '"a",\n    "z"'), "no value"),
    ],
)
def test_a_damaged_file_is_refused_with_a_message(found, tmp_path, damage, message):
    path = save_fit(found, tmp_path / "fit.json")
    path.write_text(damage(path.read_text("utf-8")), "utf-8")
    with pytest.raises(FitError, match=message):
        load_fit(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FitError, match="cannot be read"):
        load_fit(tmp_path / "none.json")
