"""Texts made or broken to do harm end in a message, soon and in little memory; no reader follows links or pickles."""

import ast
import pickle
import re
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from healthy_files import LAYOUTS

import insiren
from insiren.data.files import read
from insiren.data.spectrum import measured
from insiren.errors import DataError

SOON = 20.0  # s, on a machine that runs other things too; a quiet one takes one at most
LITTLE = 100 << 20  # bytes
TEXTS = [name for name, layout in LAYOUTS.items() if layout.is_text]
WIDE = 10_000_000


def refused(path, match=None, **options):
    """Reads, checks that it is refused soon and in little memory, and returns the message."""
    tracemalloc.start()
    start = time.monotonic()
    try:
        with pytest.raises(DataError, match=match) as caught:
            for data in read(path, **options):
                measured(data)
        assert time.monotonic() - start < SOON
        assert tracemalloc.get_traced_memory()[1] < LITTLE
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 2000
    return str(caught.value)


def written(folder, name):
    """A healthy file of a format: what is read of it, and the file to damage."""
    layout = LAYOUTS[name]
    layout.write(folder)
    files = sorted(folder.iterdir())
    sqw = [file for file in files if file.name.startswith("Sqw_")]
    return folder / layout.read, (sqw or [f for f in files if f.suffix == ".spe"] or files)[0], layout.options


@pytest.mark.parametrize("name", TEXTS)
def test_ten_million_columns_are_refused(tmp_path, name):
    path, file, options = written(tmp_path, name)
    cell = b"1," if file.suffix == ".csv" else b"1 "
    file.write_bytes(file.read_bytes() + cell * WIDE + b"1\n")
    refused(path, "longer than 1,048,576 bytes|numbers where", **options)


@pytest.mark.parametrize("name", TEXTS)
def test_a_header_of_ten_million_columns_is_refused(tmp_path, name):
    path, file, options = written(tmp_path, name)
    file.write_bytes(b"h,k,l,E,I,sigma" + b",x" * WIDE + b"\n" + b"1," * WIDE)
    refused(path, **options)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_cut_off_anywhere_is_data_or_refused(tmp_path, name):
    path, file, options = written(tmp_path, name)
    whole = file.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        file.write_bytes(whole[:length])
        try:
            read(path, **options)
        except DataError as error:
            assert len(str(error)) < 2000


@pytest.mark.parametrize("name", TEXTS)
def test_words_in_the_place_of_numbers_are_refused(tmp_path, name):
    path, file, options = written(tmp_path, name)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[-1] = re.sub(rb"\d+\.?\d*", b"word", lines[-1])
    file.write_bytes(b"".join(lines))
    refused(path, "is not a number", **options)


NOTHING = {
    "table.csv": "h,k,l,E,I,sigma\n" + "0,0,0,1,nan,1\n0,0,0,2,,1\n",
    "slice.txt": "# Intensity Error |Q| DeltaE\n# shape: 1x2\nnan nan 1 1\nnan nan 1 2\n",
    "map.dat": "0 1 nan 1\n0 2 nan 1\n",
    "run.spe": "    1    1\n### Phi Grid\n0 1\n### Energy Grid\n0 1\n### S\nnan\n### Errors\nnan\n",
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_holds_no_number_at_all_cannot_be_used(tmp_path, name):
    (tmp_path / name).write_text(NOTHING[name])
    (tmp_path / "run.par").write_text("1\n4 10 0 0.1 0.1\n")
    options = {"map.dat": {"q_direction": "powder"}, "run.spe": {"Ei": 10}}.get(name, {})
    refused(tmp_path / name, "nothing|masked", **options)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("x.txt", "# Intensity Error |Q| DeltaE\n# shape: 0x4\n", "no rows"),
        ("x.txt", "# Intensity Error |Q| DeltaE\n# shape: 99999999999x99999999999\n1 1 1 1\n", "promises 9999"),
        ("x.spe", "0 5\n### Phi Grid\n", "0 detectors and 5 energies"),
        ("x.spe", "5 0\n### Phi Grid\n", "5 detectors and 0 energies"),
        ("x.spe", "9999999 9999999\n### Phi Grid\n", "not what one file can hold"),
        ("x.spe", f"{'9' * 400} 1\n### Phi Grid\n", "not what one file can hold"),
        ("x.csv", "h,k,l,E,I,sigma\n", "no rows"),
        ("x.txt", "QH QK QL ENlim1 ENlim2 I1 EN1 sigma1\n", "holds none"),
        ("x.dat", "# nothing\n", "no known format"),
    ],
)
def test_axes_of_no_length_or_of_too_much_are_refused(tmp_path, name, text, match):
    (tmp_path / name).write_text(text)
    (tmp_path / "x.par").write_text("1\n4 10 0 0.1 0.1\n")
    refused(tmp_path / name, match, **({"Ei": 10} if name == "x.spe" else {}))


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path):
    (tmp_path / "secret").write_text("password")
    for name, file in (("spe", "run.par"), ("folder of Sqw", "Err_a.csv"), ("folder of tables", "two.csv")):
        folder = tmp_path / name
        folder.mkdir()
        path, _, options = written(folder, name)
        outside = tmp_path / f"outside-{file}"
        (folder / file).rename(outside)
        (folder / file).symlink_to(outside)
        assert "password" not in refused(path, "is a link that leads out of", **options)


def test_what_is_no_file_is_refused(tmp_path):
    refused(Path("/dev/zero"), "no known format")
    refused(tmp_path, "no known format")


def test_a_pickle_is_never_opened(tmp_path):
    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / "done",)

    (tmp_path / "x.pkl").write_bytes(pickle.dumps(Harmful()))
    np.save(tmp_path / "x.npy", np.array([Harmful()], object), allow_pickle=True)
    for name in ("x.pkl", "x.npy"):
        refused(tmp_path / name, "no known format")
    assert not (tmp_path / "done").exists()


def test_no_module_can_open_a_pickle():
    for file in Path(insiren.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            assert not {n.split(".")[0] for n in names if n} & {"pickle", "dill", "cloudpickle", "shelve", "marshal"}, (
                file
            )
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load", "jnp.load"):
                assert any(k.arg == "allow_pickle" and ast.unparse(k.value) == "False" for k in node.keywords), file
