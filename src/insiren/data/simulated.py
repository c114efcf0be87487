"""Simulated spectra, labelled like measured ones."""

from __future__ import annotations

import numpy as np
import scipp as sc

from insiren.data.adopt import adopt
from insiren.data.spectrum import UNITS, image, is_image, left_out, place_of, point_list, points_of
from insiren.forward import Forward, Parameters, Points

NAME = "simulated"


def simulate(forward: Forward, params: Parameters, like: sc.DataArray | Points) -> sc.DataArray:
    """The spectrum of a Forward where another was measured.

    Args:
        forward: what simulates.
        params: values by name; those left out take the model's.
        like: a spectrum, whose masked and missing pixels stay missing, or points.

    Returns:
        S(Q, ω) per meV and crystal cell, without variances: an image where `like` is an image or
        a table, else a list of points.

    Raises:
        DataError: `like` lacks coordinates.
        ModelError: there is no spectrum at these parameters.
    """
    if isinstance(like, Points):
        return _at_points(forward, params, like)
    like = adopt(like)
    make = image if is_image(like) else point_list
    if make is image:
        like = like.transpose(["Q", "energy_transfer"])
    points = points_of(like)
    S = np.where(left_out(like), np.nan, np.asarray(forward(params, points)).reshape(like.shape))
    coords = {c: like.coords[c].to(unit=UNITS[c], dtype="float64").values for c in (*place_of(like), "energy_transfer")}
    omega = coords.pop("energy_transfer")
    hkl = None if "Q_abs" in coords else np.stack(list(coords.values()), axis=1)
    return make(like.name or NAME, hkl, omega, S, None, Q_abs=coords.get("Q_abs"), bins=points.bins)


def _at_points(forward: Forward, params: Parameters, points: Points) -> sc.DataArray:
    S = np.asarray(forward(params, points))
    hkl = None if points.Q_abs is not None else np.asarray(points.hkl)
    lengths = None if points.Q_abs is None else np.asarray(points.Q_abs)
    if points.is_table:
        rows = np.asarray(points.rows)
        if np.all(rows == rows[0]):
            return image(NAME, hkl, rows[0], S.reshape(rows.shape), None, Q_abs=lengths, bins=points.bins)
    at = np.asarray(points.index)
    hkl, lengths = (None if place is None else place[at] for place in (hkl, lengths))
    return point_list(NAME, hkl, np.asarray(points.omega), S, None, Q_abs=lengths, bins=points.bins)
