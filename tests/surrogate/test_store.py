"""Files of surrogates and checkpoints: whole, or refused."""

import dataclasses
import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from insiren.errors import OutsideDomain, SurrogateError
from insiren.forward import Points
from insiren.surrogate.phase import Phase
from insiren.surrogate.region import Region
from insiren.surrogate.store import (
    FORMAT,
    bundled_path,
    checksum,
    load_surrogate,
    save_surrogate,
)

SOME = Points.table(np.array([[0.3, 0.1, 0.0], [0.45, 0.2, 4.0]]), np.linspace(20.0, 120.0, 11))


@pytest.fixture(scope="module")
def saved(surrogate, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "small.insiren"
    save_surrogate(surrogate, path)
    return path


def facts_of(path):
    """Facts of insiren in the header of a safetensors file, and the size of the header."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    return json.loads(header["__metadata__"]["insiren"]), size


def with_facts(saved, path, facts, tensors=None):
    """A file with other content and the checksum that belongs to it, as somebody might make who wants to."""
    tensors = tensors or load_file(saved)
    if isinstance(facts, dict):
        facts = json.dumps({**facts, "sha256": checksum(tensors, facts)})
    save_file(tensors, path, metadata={"insiren": facts})
    return path


def test_a_surrogate_comes_back_from_its_file_as_it_was(surrogate, saved):
    again = load_surrogate(saved)
    for params in ({}, {"J": 40.0, "Jp": -3.0}, {"q_fwhm": 0.15}):
        np.testing.assert_array_equal(again(params, SOME), surrogate(params, SOME))
    assert again.domain == surrogate.domain and again.scale == surrogate.scale
    assert again.parameters == surrogate.parameters
    assert again.simulator.model.digest == surrogate.simulator.model.digest
    assert json.loads(again.provenance) == json.loads(surrogate.provenance)
    np.testing.assert_array_equal(again.error({}, SOME), surrogate.error({}, SOME))
    assert [file.name for file in saved.parent.iterdir()] == ["small.insiren"]
    assert saved.stat().st_size < 30_000
    assert saved.stat().st_mode & 0o444 == 0o444  # for others to read


def test_saving_to_a_folder_that_is_not_there_is_refused(surrogate, tmp_path):
    with pytest.raises(SurrogateError, match="does not exist"):
        save_surrogate(surrogate, tmp_path / "nowhere" / "small.insiren")


def test_a_missing_file_is_refused_and_a_folder_is_none(tmp_path):
    for path in (tmp_path / "none.insiren", tmp_path):
        with pytest.raises(SurrogateError, match="There is no surrogate file"):
            load_surrogate(path)
    assert bundled_path("none.insiren") is None


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, tmp_path, part):
    content = saved.read_bytes()
    cut = tmp_path / "cut.insiren"
    cut.write_bytes(content[: int(part * len(content))])
    with pytest.raises(SurrogateError, match=r"cut\.insiren is truncated.*Get or train it again"):
        load_surrogate(cut)


def test_a_file_that_lacks_its_last_byte_or_has_one_more_is_refused(saved, tmp_path):
    content = saved.read_bytes()
    for name, damaged in (("short", content[:-1]), ("long", content + b"\0")):
        path = tmp_path / name
        path.write_bytes(damaged)
        with pytest.raises(SurrogateError, match="truncated, altered"):
            load_surrogate(path)


def test_altered_bytes_of_the_header_are_refused(saved, tmp_path):
    content, (_, size) = saved.read_bytes(), facts_of(saved)
    rng, path = np.random.default_rng(0), tmp_path / "altered.insiren"
    for at in [*range(8), *rng.choice(np.arange(8, 8 + size), 150, replace=False)]:
        damaged = bytearray(content)
        damaged[at] ^= int(rng.integers(1, 256))
        if read_as_before(damaged, content):
            continue  # a space in the header is a space
        path.write_bytes(damaged)
        with pytest.raises(SurrogateError, match=r"altered\.insiren"):
            load_surrogate(path)


def read_as_before(damaged, content):
    """Whether two files have the same header once it is read."""
    found = []
    for one in (damaged, content):
        size = struct.unpack("<Q", one[:8])[0]
        try:
            header = json.loads(bytes(one[8 : 8 + size]))
            found.append(header | {"__metadata__": json.loads(header["__metadata__"]["insiren"])})
        except (ValueError, KeyError, TypeError):
            return False
    return found[0] == found[1]


def test_any_altered_byte_of_the_weights_is_refused(saved, tmp_path):
    content, (_, size) = saved.read_bytes(), facts_of(saved)
    path = tmp_path / "weights.insiren"
    for at in np.random.default_rng(1).choice(np.arange(8 + size, len(content)), 40, replace=False):
        damaged = bytearray(content)
        damaged[at] ^= 1  # the last bit: still a number, still finite
        path.write_bytes(damaged)
        with pytest.raises(SurrogateError, match=r"weights\.insiren was altered: the SHA-256"):
            load_surrogate(path)


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"J = 29 meV\n" * 100, "text"), (b"\x89HDF\r\n\x1a\n" + bytes(500), "hdf5"), (b"\xff" * 600, "ones")],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, name):
    path = tmp_path / f"{name}.insiren"
    path.write_bytes(content)
    with pytest.raises(SurrogateError, match="no file of insiren"):
        load_surrogate(path)


def test_tensors_of_others_are_refused(saved, tmp_path):
    path = tmp_path / "other.insiren"
    save_file({"weight0": np.zeros((2, 2), np.float32)}, path)
    with pytest.raises(SurrogateError, match="no file of insiren"):
        load_surrogate(path)
    with pytest.raises(SurrogateError):
        load_surrogate(with_facts(saved, path, "[1, 2]"))
    with pytest.raises(SurrogateError):
        load_surrogate(with_facts(saved, path, "not json"))


def test_a_file_of_the_format_before_is_read_and_has_no_map_of_errors(saved, tmp_path, surrogate):
    facts, _ = facts_of(saved)
    facts["domain"]["periodic"] = [bool(p) for p in facts["domain"].pop("period")]
    del facts["domain"]["region"], facts["errors"]
    tensors = {name: x for name, x in load_file(saved).items() if not name.startswith("error_")}
    before = load_surrogate(with_facts(saved, tmp_path / "before.insiren", {**facts, "format": 2}, tensors))
    assert before.domain == surrogate.domain and before.errors is None
    np.testing.assert_array_equal(before({}, SOME), surrogate({}, SOME))


@pytest.mark.parametrize("damage", [{"factor": -1.0}, {"factor": float("nan")}, {"length": 0.0}, {"length": "far"}])
def test_a_map_of_errors_that_makes_no_sense_is_refused(saved, tmp_path, damage):
    facts, _ = facts_of(saved)
    facts["errors"] |= damage
    with pytest.raises(SurrogateError):
        load_surrogate(with_facts(saved, tmp_path / "errors.insiren", facts))


def test_a_file_keeps_its_region_and_its_phase(surrogate, tmp_path):
    region = Region.path(surrogate.simulator.model, "P M X", 0.05)
    domain = dataclasses.replace(surrogate.domain, region=region)
    sets = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    phase = Phase(jnp.asarray(sets), jnp.asarray([True, False]))
    made = dataclasses.replace(surrogate, domain=domain, phase=phase)
    save_surrogate(made, tmp_path / "some.insiren")
    again = load_surrogate(tmp_path / "some.insiren")
    assert again.domain == domain and again.domain.region == region
    np.testing.assert_array_equal(again.phase.sets, sets)
    with pytest.raises(OutsideDomain, match="outside the stable phase"):
        again({"J": 74.0, "Jp": 9.0, "q_fwhm": 0.19}, Points([[0.5, 0.2, 0.0]], [50.0]))
    with pytest.raises(OutsideDomain, match=r"1 of 2 wavevectors, \(0.3, 0.1, 0\)"):
        again({}, SOME)


def test_another_format_number_is_refused(saved, tmp_path):
    facts, _ = facts_of(saved)
    with pytest.raises(SurrogateError, match=rf"has format {FORMAT + 1}; this version reads 2 to {FORMAT}"):
        load_surrogate(with_facts(saved, tmp_path / "new.insiren", {**facts, "format": FORMAT + 1}))


@pytest.mark.parametrize("key", ["scale", "model", "refine", "domain", "provenance", "errors"])
def test_a_header_that_lacks_an_entry_is_refused(saved, tmp_path, key):
    facts, _ = facts_of(saved)
    lacking = {name: value for name, value in facts.items() if name != key}
    with pytest.raises(SurrogateError, match="not a whole surrogate file"):
        load_surrogate(with_facts(saved, tmp_path / "lacking.insiren", lacking))


@pytest.mark.parametrize(
    "damage",
    [
        {"axes": [0, 1, 2]},
        {"axes": [0, 7]},
        {"operations": [[[1, 0, 0]]]},
        {"q_range": [[0, 0.5]]},
        {"q_range": [[0.5, 0], [0, 0.5]]},
        {"omega": [0]},
        {"omega": [0, "x"]},
        {"inputs": [{"name": "J"}]},
        {"inputs": 3},
        {"fixed": []},
        {"period": None},
        {"period": [1, -1]},
        {"period": [1, 0.5]},
        {"region": {"pieces": [], "around": 0.1}},
        {"region": {"pieces": [[[0, 0, 0], [[1, 0]]]], "around": 0.1}},
        {"region": {"pieces": [[[0, 0, 0], [[1, 0, 0]]]], "around": -1}},
        {"region": 3},
        {"more": 1},
    ],
)
def test_a_domain_that_makes_no_sense_is_refused(saved, tmp_path, damage):
    facts, _ = facts_of(saved)
    facts["domain"] |= damage
    with pytest.raises(SurrogateError):
        load_surrogate(with_facts(saved, tmp_path / "domain.insiren", facts))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), "much"])
def test_a_scale_that_is_no_positive_number_is_refused(saved, tmp_path, scale):
    facts, _ = facts_of(saved)
    with pytest.raises(SurrogateError):
        load_surrogate(with_facts(saved, tmp_path / "scale.insiren", {**facts, "scale": scale}))


def test_layers_that_do_not_fit_together_are_refused(saved, tmp_path):
    facts, _ = facts_of(saved)
    whole = load_file(saved)
    for name, bad, said in [
        ("weight1", np.zeros((3, 16), np.float32), "do not fit together"),
        ("weight0", whole["weight0"][:-1], "do not fit together"),
        ("bias0", whole["bias0"][:-1], "do not fit together"),
        ("weight0", whole["weight0"].astype(np.float64), "do not fit together"),
        ("weight0", np.full_like(whole["weight0"], np.nan), "not finite"),
        ("weight3", np.zeros((16, 2), np.float32), "do not"),
    ]:
        tensors = {**whole, name: bad}
        with pytest.raises(SurrogateError, match=said):
            load_surrogate(with_facts(saved, tmp_path / "layers.insiren", facts, tensors))
    with pytest.raises(SurrogateError, match="not a whole"):
        fewer = {name: x for name, x in whole.items() if name != "bias2"}
        load_surrogate(with_facts(saved, tmp_path / "fewer.insiren", facts, fewer))


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.insiren"
    with path.open("wb") as file:
        file.truncate(10**9)  # sparse: it takes no room
    with pytest.raises(SurrogateError, match="1,000,000,000 bytes; a surrogate never has more"):
        load_surrogate(path)
