"""What is said about a data set before anything is fitted to it."""

import json

import numpy as np
import scipp as sc

from insiren.data.peaks import peak_list
from insiren.data.spectrum import image
from insiren.data.summary import assumed, summary


def spectrum(sigma=0.5, **details):
    values = np.array([[1.0, 2.0, np.nan], [0.0, -1.0, 16.0]])
    return image("test", None, [1.0, 2.0, 3.0], values, np.full((2, 3), sigma), Q_abs=[0.5, 1.5], **details)


def test_every_kind_of_pixel_is_counted():
    data = spectrum(Ei=12.0, lattice=(4, 4, 8, 90, 90, 90), assumed=["one", "two"], sigma_floor=0.1)
    data.masks["phonons"] = sc.array(dims=["energy_transfer"], values=[False, True, False])
    said = summary(data)
    json.dumps(said, allow_nan=False)
    assert said["kind"] == "image" and said["shape"] == [2, 3] and said["dims"] == ["Q", "energy_transfer"]
    assert (said["pixels"], said["left_out"], said["missing"], said["zero"], said["negative"]) == (6, 3, 1, 1, 0)
    assert said["masked"] == {"phonons": 1}
    assert said["Q_abs"] == [0.5, 1.5] and said["energy_meV"] == [1.0, 3.0] and said["units"]["Q_abs"] == "1/Å"
    assert said["Ei_meV"] == 12.0 and said["lattice"] == "4, 4, 8, 90, 90, 90"
    assert said["assumed"] == ["one", "two"] and said["advised"] == {"sigma_floor": 0.1}


def test_errors_that_nobody_can_use_are_pointed_out():
    assert any("no error bars" in line for line in summary(image("t", [[0, 0, 0]], [1.0], [[1.0]], None))["look"])
    assert any("5 pixels have σ = 0" in line and "--sigma-floor" in line for line in summary(spectrum(0.0))["look"])
    wide = spectrum()
    wide.variances = np.array([[1e-8, 1.0, 1.0], [1.0, 1.0, 1.0]])
    assert any("σ runs from 0.0001 to 1" in line for line in summary(wide)["look"])
    dark = spectrum()
    dark.masks["all"] = sc.scalar(True)
    said = summary(dark)
    assert said["intensity"] is None and any("every pixel is masked" in line for line in said["look"])


def test_the_error_tells_how_many_neutrons_it_stands_for():
    said = summary(spectrum())["look"]  # above 3 σ: 2 ± 0.5 and 16 ± 0.5
    assert any(f"is {(16 + 1024) / 2:.3g} in the median" in line for line in said)


def test_the_assumptions_of_joined_parts_are_told_once():
    joined = sc.concat([spectrum(assumed=["a", "b"]), spectrum(assumed=["a", "c"])], "Q")
    assert assumed(joined) == ["a", "b", "c"]


def test_peaks_have_a_summary_of_their_own():
    said = summary(peak_list("p", [[0, 0, 1], [0, 0, 1], [0, 0, 2]], [3.0, 5.0, 4.0], [0.1, 0.2, 0.3]))
    json.dumps(said, allow_nan=False)
    assert (said["kind"], said["wavevectors"], said["modes"]) == ("peaks", 2, 2)
    assert said["energy_meV"] == [3.0, 5.0]
