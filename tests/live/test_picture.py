"""The picture of a snapshot: what lies where, in which colour."""

import io

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.image import imread

from insiren.live.picture import picture


def shown(rows: int, columns: int):
    """A ridge at the highest energy, missing at the lowest, five σ too much in the data there."""
    data = np.tile(np.arange(rows, dtype=float)[:, None], columns)
    residual = np.zeros_like(data)
    residual[-1] = 5.0
    table = lambda x: [[None if k == 0 else float(v) for v in row] for k, row in enumerate(x)]  # noqa: E731
    return {"data": table(data), "model": table(0 * data), "residual": table(residual)}


@pytest.mark.parametrize(("rows", "columns"), [(12, 30), (300, 500), (2, 1)])
def test_panels_hold_the_cells_with_energy_upwards(rows, columns):
    image = imread(io.BytesIO(picture([shown(rows, columns), shown(rows, columns)])), format="png")
    tall, across = -(-240 // rows) * rows, -(-320 // columns) * columns
    assert image.shape == (2 * (tall + 6), 3 * across + 4 * 6, 4)
    for top in (6, 2 * 6 + tall):  # of each data set
        for panel, colour in enumerate(
            (colormaps["viridis"](1.0), colormaps["viridis"](0.0), colormaps["RdBu_r"](1.0))
        ):
            left = 6 + panel * (across + 6)
            assert image[top, left] == pytest.approx(colour, abs=0.01)
            assert image[top + tall - 1, left + across - 1] == pytest.approx((0.8, 0.8, 0.8, 1.0), abs=0.01)
    assert np.all(image[:6] == 1) and np.all(image[:, :6] == 1)


def test_maps_without_anything_measured_are_drawn_all_the_same():
    nothing = {name: [[None, None]] for name in ("data", "model", "residual")}
    image = imread(io.BytesIO(picture([nothing])), format="png")
    assert image[10, 10] == pytest.approx((0.8, 0.8, 0.8, 1.0), abs=0.01)


def test_without_maps_there_is_no_picture():
    assert picture([]) is None
