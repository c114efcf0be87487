"""A .spe with its .par becomes a powder map whose |Q| follow from the kinematics."""

import numpy as np
import pytest
from text_files import POLAR, par, spe
from text_files import SPE_EDGES as EDGES

from insiren.data.files import read
from insiren.data.spectrum import measured, place_of
from insiren.errors import DataError
from insiren.forward import Bins


@pytest.fixture
def run(tmp_path):
    """A run of four detectors, the first two at one angle, the last switched off in one pixel."""
    intensity = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0], [9.0, -1e30, 11.0]])
    sigma = np.array([[0.3, 0.3, 0.3], [0.4, 0.4, 0.4], [1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    (tmp_path / "run.spe").write_text(spe(intensity, sigma))
    (tmp_path / "run.par").write_text(par())
    return tmp_path / "run.spe"


def test_detectors_are_averaged_in_bins_of_q(run):
    (data,) = read(run, Ei=10.0, q_step=0.01)
    assert place_of(data) == ("Q_abs",) and data.coords["Ei"].value == 10.0
    np.testing.assert_allclose(data.coords["energy_transfer"].values, [0.0, 2.0, 4.0])
    taken = measured(data)
    intensity, used = taken.intensity.reshape(taken.shape), taken.used.reshape(taken.shape)
    assert used.sum(axis=0).tolist() == [3, 2, 3], "detectors 1 and 2 share a bin; one pixel was off"
    # Elastic scattering by 2θ has |Q| = 2 k sin θ, and k = 0.6947 √E (k in 1/Å, E in meV).
    lengths = data.coords["Q_abs"].values[used[:, 0]]
    np.testing.assert_allclose(lengths, 2 * 0.6947 * np.sqrt(10) * np.sin(np.radians([5, 20, 40])), atol=0.006)
    np.testing.assert_allclose(intensity[used[:, 0], 0], [2.0, 6.0, 9.0])
    np.testing.assert_allclose(taken.sigma.reshape(taken.shape)[used[:, 0], 0], [0.25, 1.0, 1.0])


def test_a_bin_that_caught_nothing_has_the_error_of_one_neutron(run):
    intensity, sigma = np.array([[4.0, 4.0], [0.0, 9.0], [2.0, 2.0]]), np.array([[2.0, 2.0], [0.0, 3.0], [1.0, 1.0]])
    run.write_text(spe(intensity, sigma, EDGES[:3]))
    (run.parent / "run.par").write_text(par(POLAR[1:]))
    (data,) = read(run, Ei=10.0, q_step=0.01)
    taken = measured(data)
    assert taken.points.bins == Bins(Q_abs=0.01, omega=2.0)
    # σ²/I of the others at that energy is 1 and 1/2.
    np.testing.assert_allclose(taken.sigma[taken.used & (taken.intensity == 0)], [np.sqrt(1 / 2)])
    assert "1 bins had σ = 0" in data.coords["assumed"].value


def test_inelastic_scattering_follows_the_kinematics(run):
    (data,) = read(run, Ei=10.0, q_step=0.001)
    used = measured(data).used.reshape(data.shape)
    ki, kf = np.sqrt(10 / 2.0721248), np.sqrt(6 / 2.0721248)
    expected = np.sqrt(ki**2 + kf**2 - 2 * ki * kf * np.cos(np.radians([10, 40, 80])))
    np.testing.assert_allclose(data.coords["Q_abs"].values[used[:, 2]], expected, atol=0.0006)


def test_fields_that_touch_are_told_apart(tmp_path):
    intensity = np.array([[-123456789.0, -2e-5, 3.0]])  # each fills its ten characters
    text = spe(intensity, np.ones((1, 3))).replace("-1.23E+08", "-123456789").replace("  -2E-05", "-2.000E-05")
    (tmp_path / "a.spe").write_text(text.replace(" -123456789", "-123456789").replace("  -2.000E-05", "-2.000E-05"))
    (tmp_path / "a.par").write_text(par(POLAR[:1]))
    (data,) = read(tmp_path / "a.spe", Ei=10.0, q_step=10.0)
    np.testing.assert_allclose(data.values, intensity)


def test_a_table_of_detectors_may_have_another_name(run):
    (run.parent / "run.par").rename(run.parent / "instrument.PAR")
    (data,) = read(run, Ei=10.0)
    assert "detectors from instrument.PAR" in data.coords["assumed"].value
    (run.parent / "other.par").write_text(par())
    with pytest.raises(DataError, match=r"2 \.par files lie beside it\. Give it as --hint par"):
        read(run, Ei=10.0)
    assert "other.par" in read(run, Ei=10.0, par=run.parent / "other.par")[0].coords["assumed"].value


def test_what_a_run_lacks_is_asked_for(run):
    with pytest.raises(DataError, match=r"incident energy in meV. Give it as --Ei 190"):
        read(run)
    with pytest.raises(DataError, match=r"with Ei = 3 meV no neutron is left at an energy transfer of 4 meV.*--Ei"):
        read(run, Ei=3.0)
    for bad in (-1.0, float("nan"), "many"):
        with pytest.raises(DataError, match="not a positive number"):
            read(run, Ei=bad)
    with pytest.raises(DataError, match="Make it larger"):
        read(run, Ei=10.0, q_step=1e-9)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.replace("    4    3", "    5    3", 1), "6 are needed. Is it truncated"),
        (lambda t: "999999999 999999999\n" + t.split("\n", 1)[1], "not what one file can hold"),
        (lambda t: "999999 20\n" + t.split("\n", 1)[1], "1000000 are needed. Is it truncated"),
        (lambda t: "0 3\n" + t.split("\n", 1)[1], "not what one file can hold"),
        (lambda t: t[: len(t) // 2], "truncated"),
        (lambda t: t.replace("         7", "         x"), "'x' is not a number"),
        (lambda t: t.replace("        -1         1", "         1        -1"), "do not rise"),
    ],
)
def test_damage_to_a_run_is_named(run, change, match):
    run.write_text(change(run.read_text()))
    with pytest.raises(DataError, match=match):
        read(run, Ei=10.0)


def test_detectors_of_another_run_are_refused(run):
    (run.parent / "run.par").write_text(par(POLAR[:3]))
    with pytest.raises(DataError, match=r"places 3 detectors, finite or not, where the .spe has 4"):
        read(run, Ei=10.0)


def test_a_run_in_which_nothing_was_measured_is_refused(run):
    run.write_text(spe(np.full((4, 3), -1e30), np.zeros((4, 3))))
    with pytest.raises(DataError, match="all 12 pixels are masked"):
        read(run, Ei=10.0)


def test_fields_set_to_the_left_are_told_apart(tmp_path):
    """As Horace writes them: a line ends in blanks, and eleven characters of two numbers are not one wide field."""
    values = [["-0.0003141", "-0.004796 ", "0.0002489 "], ["0.02281   ", "-5.712E-05", "0.4       "]]
    blocks = "".join(
        f"### S(Phi,w) (det N {n})\n{''.join(v)}\n### Errors\n1         1         2\n" for n, v in enumerate(values)
    )
    grids = "### Phi Grid\n0         0         0\n### Energy Grid\n0         0.5       1         1.5       \n"
    (tmp_path / "a.spe").write_text("2        3        \n" + grids + blocks)
    (tmp_path / "a.par").write_text(par([10.0, 40.0]))
    (data,) = read(tmp_path / "a.spe", Ei=10.0, q_step=0.01)
    seen = data.values[~data.masks["missing"].values]
    np.testing.assert_allclose(np.sort(seen), np.sort(np.array(values, float).ravel()))


def test_the_measurement_that_horace_saved_twice_is_one(shared):
    folder = shared / "data" / "public" / "horace"
    (old,) = read(folder / "fm_simple_cubic_a.spe", Ei=36.0, q_step=0.05)
    (new,) = read(folder / "fm_simple_cubic_a.nxspe", q_step=0.05)
    np.testing.assert_allclose(old.coords["Q_abs"].values, new.coords["Q_abs"].values)
    np.testing.assert_allclose(old.values, new.values, rtol=0, atol=7.2e-6)
    np.testing.assert_allclose(np.sqrt(old.variances), np.sqrt(new.variances), rtol=0, atol=7.2e-6)


def test_a_table_of_another_kind_is_no_par(run):
    (run.parent / "run.phx").write_text("4\n" + "".join(f"4.0 0.0 {p} 0.0 0.05 0.3 {n}\n" for n, p in enumerate(POLAR)))
    with pytest.raises(DataError, match=r"line 2: 7 values where a \.par has 5 or 6.*It is a \.phx"):
        read(run, Ei=10.0, par=run.parent / "run.phx")
    (run.parent / "run.par").write_text("4\n" + "".join(f"4.0 0.0 {p} 0.0 0.05 0.3\n" for p in POLAR))
    with pytest.raises(DataError, match=r"2θ in degrees, runs from 0 to 0"):
        read(run, Ei=10.0)
    with pytest.raises(DataError, match=r"table of detectors .*\.phx.*Give the \.spe"):
        read(run.parent / "run.phx")


def test_what_mslice_marks_as_not_measured_is_missing(run):
    run.write_text(run.read_text().replace("-0.100E+31", "-0.100E+21"))
    (data,) = read(run, Ei=10.0, q_step=0.01)
    assert data.coords["detectors"].values.sum() == 11


def test_the_case_with_both_tables_is_read_with_the_right_one(shared):
    folder = shared / "cases" / "spe"
    with pytest.raises(DataError, match=r"det\.phx, line 2: 7 values"):
        read(folder / "a10.spe", Ei=20.0, par=folder / "det.phx")
    (data,) = read(folder / "a10.spe", Ei=20.0, q_step=0.02)
    elastic = ~data.masks["missing"].values[:, 2]
    # 2θ up to 60°, where |Q| = 2 k sin 30° = k.
    assert data.coords["Q_abs"].values[elastic].max() == pytest.approx(np.sqrt(20 / 2.0721248), abs=0.01)
