"""The package's own table reads back what was written."""

import numpy as np
import pytest
import scipp as sc
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from insiren.data.counts import count
from insiren.data.files import read, write_csv
from insiren.data.spectrum import image, measured, point_list
from insiren.errors import DataError

FINITE = st.floats(-1e6, 1e6)
NAMES = st.text("abc ,;'\"#[]=xyz²µ", min_size=1, max_size=8).filter(lambda name: name == name.strip())


@st.composite
def spectra(draw):
    """Images with repeated wavevectors and energies, and lists of points."""
    few = st.sampled_from([0.0, -0.0, 0.5, 1 / 3, 1e-300]) | FINITE
    q, w, grid, powder = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.booleans()), draw(st.booleans())
    shape = (q, w) if grid else (q,)
    positive = st.floats(1e-3, 1e6)
    given = {
        "missing": draw(arrays(bool, shape)),
        "sigma_floor": draw(st.none() | positive),
        "sigma_max": draw(st.none() | positive),
        "Ei": draw(st.none() | positive),
        "lattice": draw(st.none() | st.lists(positive, min_size=6, max_size=6)),
        "assumed": draw(st.lists(st.text("ab =,#[]", min_size=1), max_size=2)),
    }
    if draw(st.booleans()):
        given |= {"counts": draw(arrays(float, shape, elements=positive)), "norm": np.full(shape, 1 / 3)}
    make = image if grid else point_list
    data = make(
        draw(NAMES),
        None if powder else draw(arrays(float, (q, 3), elements=few)),
        draw(arrays(float, w if grid else q, elements=few)),
        draw(arrays(float, shape, elements=FINITE | st.just(np.nan))),
        draw(st.none() | arrays(float, shape, elements=positive)),
        Q_abs=draw(arrays(float, q, elements=positive)) if powder else None,
        **given,
    )
    if draw(st.booleans()):
        data.masks["phonons"] = sc.array(dims=data.dims, values=np.ones(shape, bool))
    return data


def same(a: sc.DataArray, b: sc.DataArray) -> bool:
    return a.name == b.name and sc.identical(a, b, equal_nan=True)


@settings(deadline=None, max_examples=150)
@given(st.lists(spectra(), min_size=1, max_size=3, unique_by=lambda data: data.name))
def test_what_is_written_is_read_back_identically(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("round") / "trip.csv"
    write_csv(data, file)
    back = read(file)
    assert all(same(a, b) for a, b in zip(back, data, strict=True))


def test_the_published_paths_survive_with_their_advice(la2nio4, tmp_path):
    data = read(la2nio4)
    write_csv(data, tmp_path / "both.csv")
    assert all(same(a, b) for a, b in zip(read(tmp_path / "both.csv"), data, strict=True))


def test_counts_survive(tmp_path):
    data = count(image("sim", np.zeros((3, 3)), [1.0, 2.0], np.ones((3, 2)), None), 20, seed=0)
    write_csv([data], tmp_path / "sim.csv")
    assert same(read(tmp_path / "sim.csv")[0], data)


def test_spectra_with_and_without_error_bars_share_a_table(tmp_path):
    with_, without = (
        image(name, np.zeros((1, 3)), [1.0, 2.0], [[1, 2]], s) for name, s in (("a", [[1, 1]]), ("b", None))
    )
    write_csv([with_, without], tmp_path / "mixed.csv")
    assert all(same(a, b) for a, b in zip(read(tmp_path / "mixed.csv"), (with_, without), strict=True))


def test_a_table_written_by_hand_is_understood(tmp_path):
    (tmp_path / "hand.csv").write_text(
        "# Ei = 190\n# lattice = 3.89 3.89 12.55\nh,k,l,E,I,sigma,mask\n"
        "0.5,0.5,0,20,1,0.1,\n0.5,0.5,0,30,,,0\n0.5,0,0,20,-3,0.1,1\n0.5,0,0,30,nan,0.1,\n"
    )
    (data,) = read(tmp_path / "hand.csv")
    assert data.name == "hand"
    assert data.shape == (2, 2)
    assert sc.identical(data.coords["Ei"], sc.scalar(190.0, unit="meV"))
    assert data.coords["lattice"].value == "3.89 3.89 12.55"
    assert measured(data).used.tolist() == [True, False, False, False]


def test_rows_that_are_no_grid_become_points(tmp_path):
    (tmp_path / "cut.csv").write_text("h,k,l,E,I,sigma\n0.5,0.5,0,20,1,0.1\n0.5,0.5,0,30,1,0.1\n0.5,0,0,20,2,0.1\n")
    assert read(tmp_path / "cut.csv")[0].dims == ("point",)


def test_powder_and_crystal_share_a_table(tmp_path):
    both = [
        image("powder", None, [1.0, 2.0], [[1, 2]], [[1, 1]], Q_abs=[0.7]),
        image("crystal", np.zeros((1, 3)), [1.0, 2.0], [[1, 2]], [[1, 1]]),
    ]
    write_csv(both, tmp_path / "both.csv")
    assert all(same(a, b) for a, b in zip(read(tmp_path / "both.csv"), both, strict=True))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    write_csv([image("a", np.zeros((1, 3)), [1.0], [[1.0]], [[1.0]])], tmp_path / "secret.csv")
    (tmp_path / "folder" / "a.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(DataError, match="leads out of"):
        read(tmp_path / "folder")


def test_a_folder_of_tables_gives_all_their_data_sets(tmp_path):
    for name in ("b", "a"):
        write_csv([image(name, np.zeros((1, 3)), [1.0], [[1.0]], [[1.0]])], tmp_path / f"{name}.csv")
    (tmp_path / "notes.csv").write_text("who,when\nme,today\n")
    assert [data.name for data in read(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("h,k,l,E,I,sigma\n0,0,0,x,1,1\n", "line 2, E: 'x' is not a number"),
        ("# a = b\nh,k,l,E,I,sigma\n0,0,0,1,1,1\n0,0,0,nan,1,1\n", "line 4, E: nan where a finite"),
        ("h,k,l,E,I,sigma\n0,0,0,1,1\n", "line 2: 5 values where the header names 6"),
        ("h,k,l,E,I,sigma\n", "no rows"),
        ("h,k,l,E,I,weird\n0,0,0,1,1,1\n", "unknown columns weird.*--columns h,k,l,E,I,-"),
        ("h,k,l,E,I,I\n0,0,0,1,1,1\n", "named twice"),
        ("h,k,l,E,I\n0,0,0,1,1\n0,,0,1,1\n", "line 3, k: blank where"),
        ("h,k,l,E,I\n0,0,0,,1\n", "line 2, E: blank where"),
        ("h,k,l,Q_abs,E,I\n0,0,0,1,1,1\n", "one of these"),
        ('h,k,l,E,I\n0,0,0,1,"' + "1\n" * 100_000, "quotation mark"),
        ("h,k,l,E,I,dataset\n" + "".join(f"0,0,0,1,1,{n}\n" for n in range(1001)), "more than 1000 data sets"),
        ("# h = 3\nh,k,l,E,I\n0,0,0,1,1\n", "name of a coordinate"),
        ("# sigma_max = big\nh,k,l,E,I\n0,0,0,1,1\n", "metadata, sigma_max: 'big' is not a number"),
    ],
)
def test_damage_is_named_with_its_place(tmp_path, text, match):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(DataError, match=match):
        read(tmp_path / "bad.csv")


def test_what_cannot_be_read_says_what_can(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    for path in (tmp_path / "nothing", tmp_path / "picture.png", tmp_path):
        with pytest.raises(DataError, match="What can be read"):
            read(path)


def test_what_a_table_cannot_hold_is_refused_and_leaves_nothing(tmp_path):
    data = image("a", np.zeros((1, 3)), [1.0], [[1.0]], [[1.0]])
    for bad in ([], [data, data], [data.rename_dims({}).copy()]):
        if len(bad) == 1:
            bad[0].masks["a+b"] = sc.array(dims=data.dims, values=[[True]])
        with pytest.raises(DataError):
            write_csv(bad, tmp_path / "out.csv")
    with pytest.raises(DataError, match="not a folder"):
        write_csv([data], tmp_path / "nowhere" / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_replacing_a_table_that_fails_leaves_the_old_one(tmp_path):
    data = image("a", np.zeros((1, 3)), [1.0], [[1.0]], [[1.0]])
    write_csv([data], tmp_path / "out.csv")
    before = (tmp_path / "out.csv").read_bytes()
    data.coords["a=b"] = sc.scalar("x")
    with pytest.raises(DataError, match="metadata"):
        write_csv([data], tmp_path / "out.csv")
    assert [f.read_bytes() for f in tmp_path.iterdir()] == [before]


def test_other_spellings_keep_metadata_masks_and_data_sets(tmp_path):
    rows = "a 0 0 1 2 5 1 0\na 0 0 1 3 6 1 bragg\nb 0 0 1 2 7 1 0\n"
    for header in ("dataset H K L EN Int Err mask\n", "# dataset H K L EN Int Err mask\n"):
        (tmp_path / "t.txt").write_text("# Ei = 20\n# [b]\n# sample = x y\n" + header + rows)
        one, two = read(tmp_path / "t.txt")
        assert (one.name, two.name) == ("a", "b") and one.coords["Ei"].value == two.coords["Ei"].value == 20
        assert two.coords["sample"].value == "x y" and one.masks["bragg"].values.ravel().tolist() == [False, True]
        assert two.values.tolist() == [[7]]


def test_the_unit_of_energies_is_taken_from_their_name(tmp_path):
    (tmp_path / "t.csv").write_text("h,k,l,E (THz),I,sigma\n0,0,1,2,5,1\n")
    (data,) = read(tmp_path / "t.csv")
    assert data.coords["energy_transfer"].values[0] == pytest.approx(2 * 4.135667696923859)
    assert "as the unit beside the name" in data.coords["noted"].value
    (tmp_path / "t.csv").write_text("h,k,l,E (furlong),I,sigma\n0,0,1,2,5,1\n")
    with pytest.raises(DataError, match="'furlong' is no unit of energy"):
        read(tmp_path / "t.csv")


def test_a_column_that_is_not_read_is_named_by_a_dash(tmp_path):
    (tmp_path / "t.csv").write_text("h,k,l,E,I,sigma,T\n0,0,1,2,5,1,300\n")
    with pytest.raises(DataError, match=r"unknown columns T.*--columns h,k,l,E,I,sigma,-"):
        read(tmp_path / "t.csv")
    assert read(tmp_path / "t.csv", columns="h,k,l,E,I,sigma,-")[0].values.tolist() == [[5]]
    with pytest.raises(DataError, match="needs h, k, l or Q_abs"):
        read(tmp_path / "t.csv", columns="h,k,x,E,I,sigma,-")


def test_counts_with_their_norm_give_intensities(tmp_path):
    (tmp_path / "t.csv").write_text("H,K,L,E,counts,norm\n0,0,1,2,9,100\n0,0,1,3,0,100\n0,0,1,4,,\n")
    (data,) = read(tmp_path / "t.csv")
    taken = measured(data)
    assert taken.used.tolist() == [True, True, False]
    np.testing.assert_allclose(taken.intensity[:2], [0.09, 0.0])
    np.testing.assert_allclose(taken.sigma[:2], [0.03, 0.01])
    np.testing.assert_allclose(taken.counts[:2], [9, 0])
