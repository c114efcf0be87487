"""The model file: what is accepted, and how a mistake is explained."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

import systems
from insiren.errors import ModelError
from insiren.instrument.resolution import energy_resolution
from insiren.model.spec import Model, bundled, bundled_text, load_model
from insiren.model.tables import Table
from insiren.simulate.stability import require_stable


def changed(path: str, value: Any) -> dict[str, Any]:
    """The square lattice with one entry replaced, or removed where the value is None."""
    content = copy.deepcopy(systems.square_in_field())
    *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    table: Any = content
    for key in parents:
        table = table[key]
    if value is None:
        del table[last]
    else:
        table[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("exchange", 1, r"exchange: unknown key"),
        ("structur", {}, r"structur: unknown key; did you mean 'structure'\?"),
        ("bond/1/exchang", "J", r"bond\.1\.exchang: unknown key; did you mean 'exchange'\? Known here: i, j, offset"),
        ("parameters/J/vlaue", 1, r"parameters\.J\.vlaue: unknown key; did you mean 'value'\?"),
        ("site/0/spin", None, r"site\.0\.spin: this key is needed and missing"),
        ("site/0/spin", -1, r"site\.0\.spin: -1 is not allowed; write a spin quantum number above 0"),
        ("site/0/spin", float("nan"), r"site\.0\.spin: "),
        ("site", [], r"site: \[\] is not allowed; write one or more tables \[\[site\]\]"),
        ("crystal/c", None, r"crystal: give a, b and c in Å, or vectors"),
        ("crystal/vectors", [[1, 0, 0], [0, 1, 0], [0, 0, 1]], r"crystal: give a, b, c or vectors, not both"),
        ("bond/0/exchange", "K", r"bond\.0\.exchange: 'K' uses 'K', which is not among the parameters J, Jp"),
        ("bond/0/exchange", "__import__('os').getcwd()", r"bond\.0\.exchange: .*may hold only names, numbers"),
        ("bond/0/exchange", "J.__class__", r"bond\.0\.exchange: .*may hold only names, numbers"),
        ("bond/0/exchange", "J +", r"bond\.0\.exchange: 'J \+' is not an expression"),
        ("bond/0/exchange", "+".join(["J"] * 300), r"bond\.0\.exchange: .*599 characters; 500 is the limit"),
        ("bond/0/exchange", "9**9**9**9", r"bond\.0\.exchange: '9\*\*9\*\*9\*\*9' has no value"),
        ("bond/0/exchange", "J/0", r"bond\.0\.exchange: 'J/0' has no value"),
        ("bond/0/exchange", "(-J)**0.5", r"bond\.0\.exchange: .*must be a number"),
        ("bond/0/exchange", "log(-J)", r"bond\.0\.exchange: .*nan.*must be a number"),
        ("bond/0/offset", [0, 0, 0], r"bond\.0 joins site 0 with itself; an on-site term is an \[\[anisotropy\]\]"),
        ("bond/0/j", 1, r"bond\.0 names site 1, but there are 1"),
        ("anisotropy/0/site", 3, r"anisotropy\.0 names site 3"),
        ("structure/directions", [[1, 0, 0]] * 3, r"structure\.directions has 3 entries; this structure needs 1"),
        ("structure/directions", [[0, 0, 0]], r"structure: a direction must not be zero"),
        ("structure/axis", None, r"structure: k and axis come together"),
        ("structure/axis", [0, 0, 0], r"structure: axis must not be zero"),
        ("structure/supercell", [[1, 1, 0], [1, 1, 0], [0, 0, 1]], r"structure: the supercell has no volume"),
        ("structure/supercell", [[1, 1, 0], [1, -1, 0]], r"structure\.supercell"),
        ("structure/supercell", [2, 1, 1], r"structure: k = .* revolutions .*whole numbers"),
        ("parameters/J/value", 1000.0, r"parameters\.J: value = 1000\.0 lies outside -100\.0 … 100\.0"),
        ("parameters/J/min", 100.0, r"parameters\.J: min = 100\.0 must lie below max = 100\.0"),
        ("parameters/J-1", systems.parameter(1.0), r"parameters\.J-1: .* no name of letters, digits and _"),
        ("parameters/pi", systems.parameter(1.0), r"parameters\.pi: .*these names are taken: width, q_fwhm, pi, sqrt"),
        ("scattering/correlation", "Sxy", r"scattering\.correlation: "),
        ("instrument/resolution", {}, r"instrument\.resolution.*give polynomial or constant"),
        ("instrument/resolution", {"constnat": 1}, r"instrument\.resolution.*did you mean 'constant'"),
    ],
)
def test_a_mistake_is_explained_by_naming_its_key(path: str, value: Any, says: str):
    with pytest.raises(ModelError, match=says):
        Model.from_dict(changed(path, value))


def test_several_mistakes_are_named_at_once():
    content = changed("site/0/spin", -1) | {"summry": "x"}
    with pytest.raises(ModelError, match=r"(?s)site\.0\.spin.*summry: unknown key; did you mean 'summary'"):
        Model.from_dict(content)


def test_equal_content_makes_equal_models_with_equal_hashes():
    one, other = Model.from_dict(systems.square()), Model.from_dict(systems.square())
    assert one == other and hash(one) == hash(other) and one.digest == other.digest
    changed_spin = Model.from_dict(systems.square(S=1.5))
    assert one != changed_spin and one.digest != changed_spin.digest
    assert one != "square"


def test_whole_numbers_and_floats_make_equal_models():
    assert Model.from_dict(changed("site/0/spin", 1)) == Model.from_dict(changed("site/0/spin", 1.0))


def test_a_model_comes_back_from_its_own_content():
    one = Model.from_dict(systems.square_in_field())
    assert Model.from_dict(one.model_dump(exclude_none=True)) == one


def test_the_parameters_of_the_instrument_follow_those_of_the_file():
    one = Model.from_dict(systems.square())
    assert [p.name for p in one.all_parameters] == ["J", "Jp", "width", "q_fwhm"]
    assert one.used_names == {"J", "Jp"}
    declared = Model.from_dict(changed("parameters/width", {"value": 1.2, "min": 0.5, "max": 2.0}))
    assert {p.name: p.value for p in declared.all_parameters}["width"] == 1.2


@pytest.mark.parametrize("name", bundled())
def test_bundled_models_load_and_are_stable_at_their_defaults(name: str):
    model = load_model(name)
    assert model.name == name and model.summary and model.source
    require_stable(model, {p.name: p.value for p in model.all_parameters})


def test_the_gap_model_differs_from_the_paper_only_in_what_it_adds():
    plain, gap = load_model("la2nio4"), load_model("la2nio4-gap")
    assert (gap.crystal, gap.bond) == (plain.crystal, plain.bond)
    assert [s.model_copy(update={"ion": None}) for s in gap.site] == list(plain.site)
    assert (gap.instrument.resolution, gap.instrument.q_axes) == (plain.instrument.resolution, plain.instrument.q_axes)
    assert not any(p.free for p in gap.all_parameters if p.name in ("Dz", "Dx"))
    assert gap.scattering.correlation == "perp" and gap.scattering.Zc == plain.scattering.Zc


def test_a_file_is_read_as_the_bundled_text_is(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text(bundled_text("la2nio4"), encoding="utf-8")
    assert load_model(file) == load_model("la2nio4")
    file.write_text(bundled_text("la2nio4").replace('name = "la2nio4"\n', ""), encoding="utf-8")
    assert load_model(str(file)).name == "mine"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[crystal\n", r"bad\.toml is not a model file in TOML: .* line 1 \(\[crystal\): a bracket is not closed"),
        (b"\xff\xfe\x00", r"bad\.toml cannot be read as a model file: it is not text in UTF-8"),
        (b"a = 1\na = 2\n", r"at line 2 \(a = 2\): a key is given twice in one table"),
        (b"a = [1,\n\n", r"cannot be read at its end"),
        (b"a = " + b"[" * 5000, r"bad\.toml is not a model file in TOML: .* brackets are nested too deeply"),
        (b"", r"(?s)bad\.toml is not valid:.*crystal: this key is needed"),
    ],
)
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes, says: str):
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=says):
        load_model(file)


def test_an_unknown_bundled_name_suggests_the_nearest():
    with pytest.raises(ModelError, match=r"no bundled model 'la2nio'\. Did you mean 'la2nio4'\?"):
        load_model("la2nio")


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("bond/0/exchange", "width", r"bond\.0\.exchange uses 'width', .*energy resolution.* taken: width, q_fwhm, pi"),
        ("anisotropy/0/matrix/2/2", "-q_fwhm", r"anisotropy\.0\.matrix uses 'q_fwhm', .*Q broadening in r\.l\.u\."),
        ("scattering/damping", "2*width", r"scattering\.damping uses 'width'"),
        (
            "parameters/width",
            systems.parameter(-0.1, -0.5, 0.0),
            r"parameters\.width is the factor .* is -0\.1 in -0\.5",
        ),
        ("parameters/q_fwhm", systems.parameter(0.0, -1.0, 1.0), r"parameters\.q_fwhm is the FWHM of the Q broadening"),
        ("parameters/µ", systems.parameter(1.0), r"parameters\.µ: 'µ' is no name of letters"),
    ],
)
def test_a_name_of_the_instrument_is_refused_as_a_coupling(path: str, value: Any, says: str):
    with pytest.raises(ModelError, match=says):
        Model.from_dict(changed(path, value))


def tables_of(table: type[Table]) -> list[type[Table]]:
    """A table and all tables within it."""
    inner = re.findall(r"\w+\.(\w+)", " ".join(str(field.annotation) for field in table.model_fields.values()))
    known = {one.__name__: one for one in Table.__subclasses__()}
    return [table, *(one for name in inner if name in known for one in tables_of(known[name]))]


def test_every_key_of_a_model_file_says_what_may_be_written_there():
    every = tables_of(Model)
    assert len(every) >= 14
    bare = [
        f"{one.__name__}.{key}" for one in every for key, field in one.model_fields.items() if not field.description
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("crystal", 5),
        ("crystal/a", "four"),
        ("crystal/a", True),
        ("crystal/alpha", 200),
        ("crystal/vectors", [[1, 0], [0, 1]]),
        ("crystal/spacegroup", [1]),
        ("site", {"position": [0, 0, 0], "spin": 1}),
        ("site/0", 3),
        ("site/0/position", [0, "a", 0]),
        ("site/0/ion", "Ni"),
        ("site/0/g", {"x": 1}),
        ("bond/0/offset", [1.5, 0, 0]),
        ("bond/0/exchange", {"v": 1}),
        ("bond/0/exchange", [["J", 0, 0], [0, "J", 0], [0, 0]]),
        ("bond/0/dm", ["D"]),
        ("bond/0/kitaev", {"K": "J", "axis": "w"}),
        ("bond/0/kitaev", {"K": "J"}),
        ("anisotropy/0/matrix", "D"),
        ("field/B", 5),
        ("structure/directions", [0, 0, 1]),
        ("structure/supercell", 2),
        ("parameters/J", -1.0),
        ("parameters/J", {"value": 1.0}),
        ("parameters/J/unit", 5),
        ("scattering/temperature", [5]),
        ("scattering/domains", [3]),
        ("scattering/form_factor", 1.5),
        ("instrument/Ei", float("inf")),
        ("instrument/resolution", 0.5),
        ("instrument/resolution", {"polynomial": []}),
        ("paths", {"points": {"G": "0 0 0"}}),
        ("name", 5),
    ],
)
def test_no_word_of_the_library_that_validates_reaches_the_user(path: str, value: Any):
    with pytest.raises(ModelError) as refused:
        Model.from_dict(changed(path, value))
    said = str(refused.value)
    key = path.replace("/", ".")
    assert key in said or key.rpartition(".")[0] in said
    assert "write " in said
    assert not re.search(r"[Ii]nput|valid (number|string|integer|tuple|dict)|Field|function-|List|instance|got ", said)


def test_a_spectrum_needs_a_resolution_and_a_model_does_not():
    content = changed("instrument", None)
    model = Model.from_dict(content)
    assert model.instrument.resolution is None
    with pytest.raises(
        ModelError, match=r"(?s)square has no energy resolution.*\[instrument\]\nEi = .*\nresolution = \{"
    ):
        energy_resolution(model)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (
            "structure",
            {"directions": "minimise", "supercell": [20, 20, 20]},
            r"magnetic cell of 8,000 spins; at most 2,000",
        ),
        ("bond/0/offset", [10**23, 0, 0], r"bond\.0\.offset: .* is not allowed; write three whole numbers of cells"),
        ("site/0/spin", 1e300, r"site\.0\.spin: 1e\+300 is not allowed"),
        ("crystal", {"a": 4, "b": 4, "c": 4, "alpha": 10, "beta": 150}, r"crystal: the lattice has no volume"),
    ],
)
def test_what_no_machine_can_compute_is_refused_when_the_file_is_read(path: str, value: Any, says: str):
    with pytest.raises(ModelError, match=says):
        Model.from_dict(changed(path, value))
