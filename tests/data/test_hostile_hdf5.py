"""Files made or broken to do harm end in a message, soon and in little memory."""

import os
import resource
import shutil
import time

import h5py
import numpy as np
import pytest
from nexus_files import cells, mdhisto, text

from insiren.data.files import read, sandbox
from insiren.errors import DataError

SOON = 40.0  # s; a machine that runs other things too takes several times the four that it should
LITTLE = 1 << 30  # bytes beyond what was in use


def refused(path, match=None, **options):
    """Reads, checks that it is refused soon and in little memory, and returns the message."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    with pytest.raises(DataError, match=match) as caught:
        read(path, **options)
    assert time.monotonic() - start < SOON
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < LITTLE
    message = str(caught.value)
    assert path.name in message or path.stem in message
    assert len(message) < 2000
    return message


@pytest.fixture
def stored(tmp_path):
    return mdhisto(tmp_path / "x.nxs", cells())


def test_a_truncated_file_is_refused_at_every_length(tmp_path, stored):
    whole = stored.read_bytes()
    for length in (8, 100, len(whole) // 2, len(whole) - 1):
        stored.write_bytes(whole[:length])
        refused(stored, "cannot be opened")


def test_what_is_hdf5_by_its_signature_alone_is_refused(tmp_path):
    for offset in (0, 512):
        path = tmp_path / "x.nxs"
        path.write_bytes(b"\0" * offset + sandbox.SIGNATURE + b"\xff" * 5000)
        refused(path, "cannot be opened")


def test_the_extension_does_not_matter(tmp_path, stored):
    shutil.copy(stored, tmp_path / "x.csv")
    assert read(tmp_path / "x.csv")[0].sizes["Q"] == 12
    (tmp_path / "text.nxs").write_text("no HDF5 at all")
    refused(tmp_path / "text.nxs", "is of no known format. What can be read: .*MDHistoWorkspace")


def test_an_unknown_layout_says_what_was_found_and_what_is_known(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("raw_data_1").attrs["NX_class"] = text("NXentry")
        file["numbers"] = np.zeros((2, 3))
    message = refused(tmp_path / "x.h5", r"it holds data numbers \(2, 3\), group raw_data_1 \(NXentry\)")
    assert "an NXSPE file" in message and "a CSV table" in message


def test_links_to_other_files_are_never_followed(tmp_path, stored):
    secret = tmp_path / "secret.h5"
    shutil.copy(stored, secret)
    with h5py.File(tmp_path / "whole.nxs", "w") as file:
        file["MDHistoWorkspace"] = h5py.ExternalLink(str(secret), "MDHistoWorkspace")
    refused(tmp_path / "whole.nxs", "link to another file, which is never followed")
    with h5py.File(stored, "a") as file:
        del file["MDHistoWorkspace/data/signal"]
        file["MDHistoWorkspace/data/signal"] = h5py.ExternalLink(str(secret), "MDHistoWorkspace/data/signal")
    refused(stored, "link to another file")
    refused(stored, "link to another file", trusted=True)


def test_numbers_kept_in_other_files_are_never_read(tmp_path, stored):
    (tmp_path / "raw.bin").write_bytes(b"\1" * 8 * 72)
    shape = (6, 1, 3, 4)
    for name in ("raw", "virtual"):
        path = mdhisto(tmp_path / f"{name}.nxs", cells())
        with h5py.File(path, "a") as file:
            data = file["MDHistoWorkspace/data"]
            axes = data["signal"].attrs["axes"]
            del data["signal"]
            if name == "raw":
                external = [(str(tmp_path / "raw.bin"), 0, 8 * 72)]
                data.create_dataset("signal", shape, "f8", external=external)
            else:
                layout = h5py.VirtualLayout(shape, "f8")
                layout[:] = h5py.VirtualSource(str(stored), "MDHistoWorkspace/data/signal", shape)
                data.create_virtual_dataset("signal", layout)
            data["signal"].attrs["axes"] = axes
        refused(path, "keeps its numbers in another file")


def test_links_that_go_round_in_circles_end(tmp_path):
    with h5py.File(tmp_path / "x.nxs", "w") as file:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
    refused(tmp_path / "x.nxs", "may go round in circles")
    with h5py.File(tmp_path / "y.nxs", "w") as file:
        group = file.create_group("entry")
        group["down"] = group
    refused(tmp_path / "y.nxs", "no known layout")
    with h5py.File(tmp_path / "z.nxs", "w") as file:
        file["MDHistoWorkspace/data"] = h5py.SoftLink("../../../etc")
    refused(tmp_path / "z.nxs", "does not exist")


def test_links_within_a_file_are_followed(tmp_path, stored):
    with h5py.File(stored, "a") as file:
        file.move("MDHistoWorkspace/data/signal", "kept")
        file["MDHistoWorkspace/data/signal"] = h5py.SoftLink("/kept")
        file["MDHistoWorkspace/data"].move("D1", "other")
        file["MDHistoWorkspace/data/D1"] = h5py.SoftLink("other")
    np.testing.assert_array_equal(read(stored)[0].values[0], cells()[0][0, 0, 0])


def huge(path, shape, **layout):
    """A workspace whose arrays are declared and never written."""
    mdhisto(path, cells())
    with h5py.File(path, "a") as file:
        data = file["MDHistoWorkspace/data"]
        axes = data["signal"].attrs["axes"]
        for name in ("signal", "errors_squared", "num_events", "mask"):
            del data[name]
            data.create_dataset(name, shape, "f8", **layout)
        data["signal"].attrs["axes"] = axes
        for i, n in enumerate(shape[::-1]):
            label = data[f"D{i}"].attrs["long_name"]
            del data[f"D{i}"]
            data[f"D{i}"] = np.linspace(0, 1, n + 1) if n < 10**7 else np.zeros(3)
            data[f"D{i}"].attrs["long_name"] = label
    return path


def test_sizes_that_were_never_written_are_refused(tmp_path):
    path = huge(tmp_path / "x.nxs", (1000, 1000, 1000, 1000), chunks=(10, 10, 10, 10))
    refused(path, "declares 8e[+]12 bytes .* and stores 0")
    refused(path, "declares 8e[+]12 bytes", sample=10)
    refused(huge(tmp_path / "y.nxs", (2**40, 2**20, 1, 1), chunks=(1, 1, 1, 1)), "3 values where 1099511627776 bins")


def test_a_decompression_bomb_is_refused(tmp_path):
    # Zeros compress a thousandfold honestly; what is refused is to decompress more at once than a child may hold.
    path = tmp_path / "bomb.nxs"
    shape = (1, 1, 9000, 9000)
    huge(path, shape, chunks=shape, compression="gzip", compression_opts=9)
    with h5py.File(path, "a") as file:
        zeros = np.zeros((1, 1, 9000, 9000))
        file["MDHistoWorkspace/data/signal"][...] = zeros
    refused(path, "chunks of 6.48e[+]08 bytes, above the 536870912")


def test_more_cells_than_are_read_whole_ask_for_a_cut(tmp_path):
    path = huge(tmp_path / "x.nxs", (101, 100, 100, 100), chunks=(1, 100, 100, 100), compression="gzip")
    with h5py.File(path, "a") as file:
        for i in range(101):
            file["MDHistoWorkspace/data/signal"][i] = np.nan
    message = refused(path, "1.01e[+]08 cells")
    assert "cut=" in message and "sample=" in message
    refused(path, "none of its 1000000 cells was measured", cut={"E": 0.5})


@pytest.mark.parametrize("n", [0, 1])
def test_axes_of_length_zero_are_refused(tmp_path, n):
    path = mdhisto(tmp_path / "x.nxs", cells())
    with h5py.File(path, "a") as file:
        data = file["MDHistoWorkspace/data"]
        for name in ("signal", "errors_squared", "num_events", "mask"):
            attrs = dict(data[name].attrs)
            del data[name]
            data[name] = np.zeros((6, 1, 0, 4))
            data[name].attrs.update(attrs)
        del data["D1"]
        data["D1"] = np.zeros(n)
        data["D1"].attrs["long_name"] = "[0,K,0]"
    refused(path, "has no bins")


@pytest.mark.parametrize(
    "wrong",
    ["text", np.zeros(3, [("a", "f8"), ("b", "i4")]), np.zeros(72, "c16"), np.array([b"x"] * 72), h5py.Empty("f8")],
    ids=["text", "records", "complex", "strings", "empty"],
)
def test_numbers_of_a_wrong_type_are_refused(tmp_path, wrong):
    for name in ("signal", "D0", "mask"):
        path = mdhisto(tmp_path / "x.nxs", cells())
        with h5py.File(path, "a") as file:
            data = file["MDHistoWorkspace/data"]
            attrs = dict(data[name].attrs)
            del data[name]
            data[name] = wrong
            data[name].attrs.update(attrs)
        refused(path)


def test_every_number_type_of_hdf5_is_read(tmp_path):
    for kind in ("<f4", ">f8", "<f2", ">i2", "u1", "<i8"):
        path = mdhisto(tmp_path / "x.nxs", [np.round(a * 4).astype(kind) for a in cells()])
        (data,) = read(path)
        assert data.values.dtype == float and data.values.sum() == np.round(cells()[0] * 4).sum()


def test_names_that_are_no_text_are_shown_all_the_same(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group(b"\xff\xfe\x1b[31m")
    assert refused(tmp_path / "x.h5").isprintable()


def test_an_attribute_whose_name_is_no_text_does_no_harm(stored):
    whole = stored.read_bytes()
    assert b"SaveMDVersion" in whole
    stored.write_bytes(whole.replace(b"SaveMDVersion", b"Save\xff\xfeVersion"))
    assert read(stored)[0].sizes["Q"] == 12


def test_many_members_and_attributes_are_bounded(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for i in range(20_001):
            file.create_group(str(i))
    refused(tmp_path / "x.h5", "more than the 20000")


def test_a_child_that_dies_is_an_error(stored):
    with sandbox.Child() as child:
        root = child.open(stored)
        child.process.kill()
        with pytest.raises(DataError, match="damaged or hostile"):
            root.members  # noqa: B018


def test_a_child_that_computes_for_ever_is_ended(stored, monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS", 0.0)
    monkeypatch.setattr(sandbox, "PATIENCE", np.inf)
    with sandbox.Child() as child:
        # An honest request, but none of the time to answer it in: the watch must be quicker than the answer.
        monkeypatch.setattr(sandbox.threading, "Timer", _Now)
        with pytest.raises(DataError, match="was not read within 0 s"):
            child.open(stored)


class _Now:
    """A timer that goes off as it starts."""

    def __init__(self, _, function):
        self.function = function

    def start(self):
        self.function()

    def cancel(self):
        pass


def test_a_child_has_little_memory_and_opens_no_more_files(stored):
    with sandbox.Child() as child:
        child.open(stored)
        limits = {
            name: resource.prlimit(child.process.pid, getattr(resource, f"RLIMIT_{name}"))
            for name in ("AS", "FSIZE", "CORE", "NOFILE")
        }
        soft, _ = resource.prlimit(child.process.pid, resource.RLIMIT_CPU)
    assert limits == {"AS": (2 << 30, 2 << 30), "FSIZE": (0, 0), "CORE": (0, 0), "NOFILE": (64, 64)}
    assert 3 < soft < 30


def test_a_child_leaves_nothing_behind(stored):
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        read(stored)
    assert len(set(os.listdir("/proc/self/fd")) - before) == 0


def test_a_trusted_file_is_read_the_same_without_a_child(stored, monkeypatch):
    (confined,) = read(stored)
    monkeypatch.setattr(sandbox, "Child", None)
    (direct,) = read(stored, trusted=True)
    np.testing.assert_array_equal(direct.values, confined.values)
    stored.write_bytes(stored.read_bytes()[:500])
    refused(stored, "cannot be opened", trusted=True)


def test_a_volume_is_read_in_blocks_that_cover_it_once(tmp_path, monkeypatch):
    monkeypatch.setattr("insiren.data.files.tree.BLOCK", 200)
    edges = tuple(np.linspace(0, 1, n + 1) for n in (7, 5, 3, 11))
    arrays = cells(edges)
    for chunks in (None, (1, 3, 5, 7), (4, 2, 3, 2), (11, 3, 5, 7)):
        path = mdhisto(tmp_path / "x.nxs", arrays, edges=edges)
        with h5py.File(path, "a") as file:
            data = file["MDHistoWorkspace/data"]
            kept, attrs = data["signal"][()], dict(data["signal"].attrs)
            del data["signal"]
            data.create_dataset("signal", data=kept, chunks=chunks)
            data["signal"].attrs.update(attrs)
        (whole,) = read(path, trusted=True)
        np.testing.assert_array_equal(whole.values.reshape(3, 5, 7, 11), np.transpose(arrays[0], (2, 1, 0, 3)))
        (part,) = read(path, trusted=True, cut={"h": (0.2, 0.9), "E": (0.3, 0.6)})
        expected = np.transpose(arrays[0][1:6, :, :, 3:7], (2, 1, 0, 3))
        np.testing.assert_array_equal(part.values.reshape(3, 5, 5, 4), expected)


def test_a_child_started_ahead_reads_one_file_and_one_that_died_is_replaced(tmp_path):
    sandbox.prepare(2)
    first, second = sandbox._waiting
    sandbox.prepare(2)
    assert [first, second] == sandbox._waiting  # so many in all
    second.kill()
    second.wait()
    with sandbox.Child() as child:
        assert child.process is first and first not in sandbox._waiting
    assert first.poll() is not None
    with sandbox.Child() as child:
        assert child.process.poll() is None
