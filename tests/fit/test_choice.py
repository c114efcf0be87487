"""Parameters that data sets share, that are one each, and that belong to one of several Forwards."""

import dataclasses

import numpy as np
import pytest
from theory import PARAMETERS, THEORY, TRUTH, fit, ridge, seen

import insiren
from insiren.errors import FitError
from insiren.fit.choice import choose, merged
from insiren.forward import Parameter


def test_parameters_that_are_one_each_are_numbered_and_free():
    choice = choose(PARAMETERS, each=["C"], sets=["one", "two"])
    assert choice.names == ("A", "B", "C[1]", "C[2]")
    for which, wanted in ((0, 0.9), (1, 1.3)):
        part = choice.part(which, THEORY)
        values = part.names.values(np.array([11.0, 5.0, 0.9, 1.3])[part.index], part.constant)
        assert {n: float(x) for n, x in values.items()} == {"A": 11.0, "B": 5.0, "C": wanted}
    assert choice.part(0, THEORY).names == choice.part(1, THEORY).names  # so that one compiled function serves both


def test_one_each_can_be_fixed_bounded_and_tied_alone_or_together_and_by_the_name_of_a_data_set():
    sets = ["one", "two"]
    choice = choose(PARAMETERS, each=["C"], fixed={"C[two]": 1.5}, bounds={"C[1]": (0.7, 1.1)}, sets=sets)
    assert dict(choice.fixed) == {"C[2]": 1.5}
    assert choice.free[-1].name == "C[1]" and choice.free[-1].max == 1.1
    tied = choose(PARAMETERS, each=["B", "C"], ties={"C": "B/5"}, sets=sets)
    values = {n: float(x) for n, x in tied.values(np.array([11.0, 5.0, 6.0])).items()}
    assert tied.names == ("A", "B[1]", "B[2]") and values["C[1]"] == 1.0 and values["C[2]"] == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"each": ["c"]}, "Did you mean 'C'"),
        ({"each": ["C"], "fixed": {"C[3]": 1.0}}, r"No parameter is called 'C\[3\]'"),
        ({"each": ["C"], "ties": {"B": "5 * C"}}, "B follows C, of which each data set has its own"),
    ],
)
def test_wishes_for_one_each_that_make_no_sense_are_refused(options, said):
    with pytest.raises(FitError, match=said):
        choose(PARAMETERS, sets=["one", "two"], **options)


def test_a_width_each_finds_both_widths_and_the_answer_names_them():
    sets = [seen(1, 0.5, width=0.8, name="sharp"), seen(2, 0.5, width=1.4, name="broad")]
    answer = fit(THEORY, sets, each=["C"], starts=2)
    truth = {"A": TRUTH["A"], "B": TRUTH["B"], "C[1]": 0.8, "C[2]": 1.4}
    assert set(answer.values) == set(truth)
    for name, value in truth.items():
        assert abs(answer.values[name] - value) < 4 * answer.errors[name]
    entry = answer.to_dict()["parameters"]["C[2]"]
    assert entry["unit"] == "meV" and not entry["fixed"] and entry["error"] > 0


def test_two_instruments_share_the_hamiltonian_and_have_a_parameter_of_their_own():
    """A crystal seen by one, and by another whose line is broader by a factor of its own; errors shrink jointly."""
    wider = (*PARAMETERS[:2], Parameter("blur", 1.0, 0.5, 3.0, "", True))
    other = insiren.forward(lambda p, points: ridge({**p, "C": 0.8 * p["blur"]}, points), wider)
    first, second = seen(3, 0.5), seen(4, 0.5, width=1.6)
    both = fit([(THEORY, first), (other, second)], starts=2)
    assert both.names == ("A", "B", "blur") and dict(both.fixed) == {"C": 1.0}
    for name, value in {"A": 11.0, "B": 5.0, "blur": 2.0}.items():
        assert abs(both.values[name] - value) < 4 * both.errors[name]
    alone = fit(THEORY, first, starts=1)
    assert both.errors["A"] < 0.95 * alone.errors["A"]


def test_parameters_of_one_name_must_mean_the_same():
    turned = dataclasses.replace(PARAMETERS[0], unit="K")
    with pytest.raises(FitError, match="A is 6 … 18 meV in one Forward and 6 … 18 K in another"):
        merged([THEORY, insiren.forward(ridge, (turned, *PARAMETERS[1:]))])
    narrow = dataclasses.replace(PARAMETERS[0], max=14.0)
    assert merged([THEORY, insiren.forward(ridge, (narrow, *PARAMETERS[1:]))])[0].max == 14.0


def test_pairs_and_data_together_and_neither_are_refused():
    with pytest.raises(FitError, match="put them into a pair"):
        fit([(THEORY, seen(0, 0.5))], seen(0, 0.5))
    with pytest.raises(FitError, match="no data set"):
        fit(THEORY)
