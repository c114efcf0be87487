"""Runs on what is no table of wavevectors, and by a surrogate: the fold and the fit are the same."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from ridge import SIGMA, TRUTH

import insiren as ins
from insiren.data.files import write
from insiren.fit.pose import Wanted
from insiren.fit.treatment import Treatment
from insiren.forward import Parameter, forward
from insiren.live.run import Live, Wishes
from insiren.live.update import Asked
from insiren.surrogate.store import load_surrogate

PLAIN = Treatment(None, "per-energy", "data", False, None, None)


def followed(place, source, expected, levels, **wanted):
    """The fit of every snapshot while one data set is counted on."""
    run = Live(Asked(source, PLAIN, Wanted(**wanted), starts=3), Wishes(Path(place.counts), Path(place.run), {}))
    for n, neutrons in enumerate(levels):
        one = ins.count(expected, neutrons, 5, background=0.05 * float(np.nanmean(expected.values)))
        one.name = "seen"
        write(one, place.counts / f"{n}.h5")
        run.look()
        assert run.look() and run.update() == n + 1
    return [run.folder.fit(n + 1) for n in range(len(levels))]


def check(found, truth):
    assert found[0]["live"]["searched"]
    for one in found:
        for name, value in truth.items():
            fitted = one["parameters"][name]
            assert abs(fitted["value"] - value) < 4 * fitted["error"]
    errors = [one["parameters"][next(iter(truth))]["error"] for one in found]
    assert errors == sorted(errors, reverse=True)


def test_a_powder_is_followed(place):
    def line(params, points):
        energy = params["J"] * jnp.abs(jnp.sin(points.Q_abs))[points.index]
        return jnp.exp(-(((points.omega - energy) / SIGMA) ** 2))

    source = forward(line, (Parameter("J", 1.5, 0.5, 3.5, "meV", free=True),))
    points = ins.Points.table(Q_abs=np.linspace(0.4, 1.5, 8), omega=np.linspace(0.2, 4.0, 20))
    clean = ins.simulate(source, {"J": TRUTH}, points)
    check(followed(place, source, clean, (3_000, 6_000)), {"J": TRUTH})


@pytest.mark.slow
def test_a_surrogate_is_followed_and_its_own_error_is_in_the_answer(place):
    learnt = load_surrogate("la2nio4.insiren")
    hkl = np.linspace([0.56, 0.5, 0.0], [0.94, 0.5, 0.0], 16)
    clean = ins.simulate(learnt.exact, {"q_fwhm": 0.085}, ins.Points.table(hkl, np.arange(24.0, 140.0, 4.0)))
    found = followed(place, learnt, clean, (20_000, 30_000), fixed={"q_fwhm": 0.085})
    check(found, {"J": 29.0, "Jp": 1.67})
    assert all(set(one["surrogate_check"]["shift"]) == {"J", "Jp"} for one in found)
