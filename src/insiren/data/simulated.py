"""Simulated spectra, labelled like measured ones."""

from __future__ import annotations

import numpy as np
import scipp as sc

from insiren.data.spectrum import image, is_image, left_out, point_list
from insiren.forward import Forward, Parameters, Points


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
    name = "simulated"
    if isinstance(like, Points):
        hkl, index = np.asarray(like.hkl), np.asarray(like.index)
        S = np.asarray(forward(params, like))
        if like.is_table:
            rows = np.asarray(like.rows)
            if np.all(rows == rows[0]):
                return image(name, hkl, rows[0], S.reshape(rows.shape), None)
        return point_list(name, hkl[index], np.asarray(like.omega), S, None)
    hkl = np.stack([like.coords[c].values for c in "hkl"], axis=1)
    omega, missing = like.coords["energy_transfer"].values, left_out(like)
    if is_image(like):
        like = like.transpose(["Q", "energy_transfer"])
        S = np.asarray(forward(params, Points.table(hkl, omega))).reshape(like.shape)
        return image(like.name or name, hkl, omega, np.where(left_out(like), np.nan, S), None)
    S = np.asarray(forward(params, Points(hkl, omega)))
    return point_list(like.name or name, hkl, omega, np.where(missing, np.nan, S), None)
