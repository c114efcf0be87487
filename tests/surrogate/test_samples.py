"""Precomputed spectra: read, refused, learnt from; and computed by any callable."""

import json

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file
from victim import line_samples

from insiren.errors import OutsideDomain, SurrogateError
from insiren.forward import Parameter, Points
from insiren.surrogate.fanout import sample
from insiren.surrogate.loop import Budget, learn
from insiren.surrogate.samplefile import read_samples
from insiren.surrogate.samples import samples
from insiren.surrogate.store import load_surrogate, save_surrogate
from insiren.surrogate.taught import Taught
from insiren.surrogate.training import Recipe

J = Parameter("J", 10.0, 5.0, 15.0, "meV", True)
HKL, OMEGA = np.array([[0.0, 0, 0], [0.25, 0, 0]]), np.linspace(0.0, 20.0, 5)


def arrays():
    params = np.array([[6.0, 0.1], [9.0, 0.3], [12.0, 0.2]])
    S = np.random.default_rng(0).uniform(size=(3, 2, 5))
    S[0, 1, 2] = np.nan
    return {"params": params, "hkl": HKL, "omega": OMEGA, "S": S, "bounds": np.array([[5.0, 15.0], [0.0, 0.5]])}


def write_as(kind, path, content, names=("J", "alpha")):
    file = path / f"spectra.{kind}"
    if kind == "npz":
        np.savez(file, names=np.array(names), units=np.array(["meV", ""]), **content)
    elif kind == "h5":
        with h5py.File(file, "w") as out:
            for name, x in content.items():
                out[name] = x
            out.attrs["names"] = list(names)
            out["units"] = ["meV", ""]
    else:
        save_file(content, file, metadata={"names": json.dumps(names), "units": json.dumps(["meV", ""])})
    return file


@pytest.mark.parametrize("kind", ["npz", "h5", "safetensors"])
def test_spectra_are_read_from_each_container(tmp_path, kind):
    content = arrays()
    found = read_samples(write_as(kind, tmp_path, content))
    assert [(p.name, p.min, p.max, p.unit, p.free) for p in found.parameters] == [
        ("J", 5.0, 15.0, "meV", True),
        ("alpha", 0.0, 0.5, "", True),
    ]
    np.testing.assert_array_equal(found.S, content["S"])
    np.testing.assert_array_equal(found.hkl[1], HKL)
    np.testing.assert_array_equal(found.omega[2, 1], OMEGA)


def test_a_box_that_is_not_given_is_what_the_parameters_span(tmp_path):
    content = arrays()
    del content["bounds"]
    found = read_samples(write_as("npz", tmp_path, content))
    assert [(p.min, p.max) for p in found.parameters] == [(6.0, 12.0), (0.1, 0.3)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"S": np.ones((3, 2, 4))}, "does not fit S"),
        ({"S": np.ones((3, 10))}, "three axes are needed"),
        ({"S": -np.ones((3, 2, 5))}, "nothing above 0"),
        ({"S": np.where(np.arange(30).reshape(3, 2, 5) == 7, -1e-3, 1.0)}, r"-0\.001 at its least \(1 values"),
        ({"hkl": np.full((2, 3), np.nan)}, "6 of 6 values of hkl are not finite"),
        ({"omega": np.ones(5)}, "All energies are the same"),
        ({"bounds": np.array([[7.0, 15.0], [0.0, 0.5]])}, r"J runs over 6 … 12, beyond its bounds 7 … 15"),
        ({"bounds": np.ones((2, 3))}, "bounds has shape"),
        ({"params": np.ones((3, 2))}, "beyond its bounds|does not vary"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(tmp_path, change, said):
    with pytest.raises(SurrogateError, match=said):
        read_samples(write_as("npz", tmp_path, arrays() | change))


def test_files_that_lack_something_are_refused_and_nothing_is_unpickled(tmp_path):
    content = arrays()
    del content["omega"]
    with pytest.raises(SurrogateError, match="lacks omega"):
        read_samples(write_as("h5", tmp_path, content))
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, **{**arrays(), "names": np.array(["J", {"a": 1}], object)})
    with pytest.raises(SurrogateError, match=r"no \.npz file of plain arrays"):
        read_samples(pickled)
    cut = write_as("npz", tmp_path, arrays())
    cut.write_bytes(cut.read_bytes()[:-50])
    with pytest.raises(SurrogateError, match="truncated"):
        read_samples(cut)
    for name in ("none.npz", "spectra.csv"):
        (tmp_path / "spectra.csv").write_text("1")
        with pytest.raises(SurrogateError):
            read_samples(tmp_path / name)


@pytest.fixture(scope="module")
def taught():
    """A training on a line whose energy follows h and J, what progress was told, and its surrogate."""
    training = Taught.of(line_samples(), Recipe(steps=3000, width=32, layers=2, spectra=32), "kl")
    told = []
    return training, told, learn(training, lambda *now: told.append(now))


def test_a_surrogate_of_spectra_alone_gives_those_it_has_never_seen(taught):
    _, told, surrogate = taught
    points = Points.table([[0.1, 0, 0], [0.3, 0, 0]], np.linspace(0.0, 30.0, 61))
    E = 9.3 * (1 + np.sin(np.pi * np.array([0.1, 0.3])))
    truth = np.exp(-((np.linspace(0.0, 30.0, 61) - E[:, None]) ** 2) / 8)
    found = np.asarray(surrogate({"J": 9.3}, points)).reshape(2, -1)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.99
    assert told[-1][:2] == (3000, 3000) and told[-1][2] < 0.3 * told[0][2]
    assert surrogate.exact is None and surrogate.describe()["model"] == "precomputed spectra"


def test_it_comes_back_from_its_file_and_refuses_what_lies_outside(taught, tmp_path):
    surrogate = taught[2]
    save_surrogate(surrogate, tmp_path / "line.insiren")
    again, points = load_surrogate(tmp_path / "line.insiren"), Points.table([[0.2, 0, 0]], [3.0, 9.0])
    np.testing.assert_array_equal(again({"J": 8.0}, points), surrogate({"J": 8.0}, points))
    assert again.simulator is None and again.parameters == surrogate.parameters
    for params, hkl, omega in (({"J": 20.0}, 0.2, 3.0), ({"J": 8.0}, 0.7, 3.0), ({"J": 8.0}, 0.2, 33.0)):
        with pytest.raises(OutsideDomain):
            again(params, Points.table([[hkl, 0, 0]], [omega, omega - 1]))


def test_an_axis_that_never_varies_may_be_asked_for_at_its_value_alone():
    domain = line_samples().domain()
    assert domain.axes == (0, 1, 2)
    domain.refuse_outside({"J": 8.0}, Points.table([[0.2, 0, 0]], [3.0]))
    with pytest.raises(OutsideDomain, match=r"k = 0\.1"):
        domain.refuse_outside({"J": 8.0}, Points.table([[0.2, 0.1, 0]], [3.0]))


def test_a_training_ends_at_the_target_or_when_the_time_is_up(taught):
    training, told, _ = taught
    steps = []
    target = told[3][2]
    learn(training, lambda step, total, error: steps.append(step), budget=Budget(target=target))
    last = next(n for n, (_, _, error) in enumerate(told) if error <= target)
    assert steps == [told[n][0] for n in range(last + 1)] and len(steps) < len(told)
    now = 0.0

    def clock():
        return now

    def tick(state):
        nonlocal now
        now += 7.0 if len(shares) == 0 else 3.0 if len(shares) < 4 else 6.0  # a slow first stride; then slower again
        shares.append(float(state.share))

    shares = []
    learn(training, checkpoint=tick, budget=Budget(seconds=40.0, clock=clock))
    assert shares[-1] == 1.0  # the rate has decayed
    assert 34 <= now <= 43 and np.all(np.diff(shares) > 0)
    assert (1 - shares[-2]) ** -1 >= 10 or len(shares) >= 8


def theory(params, points):
    h = np.asarray(points.hkl)[np.asarray(points.index), 0]
    return params["J"] * h + np.asarray(points.omega)


def test_any_callable_is_asked_at_evenly_spread_parameters():
    done = []
    found = sample(theory, (J,), HKL, OMEGA, sets=8, cluster="here", progress=lambda n, sets: done.append((n, sets)))
    assert found.S.shape == (8, 2, 5) and done[-1] == (8, 8)
    np.testing.assert_allclose(found.S[3, 1], 0.25 * found.params[3, 0] + OMEGA)
    assert np.all(np.diff(np.sort(found.params[:, 0])) < 2.6)  # 10 meV in eighths


def test_a_callable_that_fails_or_returns_another_shape_is_named_with_its_parameters():
    with pytest.raises(SurrogateError, match=r"failed at J = .*ZeroDivisionError"):
        sample(lambda params, points: 1 / 0, (J,), HKL, OMEGA, sets=1, cluster="here")
    with pytest.raises(SurrogateError, match=r"returned shape \(3,\) at J"):
        sample(lambda params, points: np.ones(3), (J,), HKL, OMEGA, sets=1, cluster="here")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of dask's own making
def test_a_cluster_given_by_its_address_returns_what_one_process_does():
    distributed = pytest.importorskip("distributed")
    here = sample(theory, (J,), HKL, OMEGA, sets=8, seed=3, cluster="here")
    threads = distributed.LocalCluster(n_workers=2, processes=False, dashboard_address=None)
    with threads:
        there = sample(theory, (J,), HKL, OMEGA, sets=8, seed=3, cluster=threads.scheduler_address)
    np.testing.assert_array_equal(there.S, here.S)
    np.testing.assert_array_equal(there.params, here.params)


def test_one_set_is_too_few():
    few = samples((J,), [[8.0]], HKL, OMEGA, np.ones((1, 2, 5)))
    with pytest.raises(SurrogateError, match="There is 1 set"):
        Taught.of(few, Recipe(steps=1))
