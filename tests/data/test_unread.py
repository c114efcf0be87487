"""HDF5 files that are known and not read say what they are and what to convert them to."""

import h5py
import numpy as np
import pytest

from insiren.data.files import options_of, read
from insiren.errors import DataError


def group(parent, name, kind, **data):
    made = parent.create_group(name)
    made.attrs["NX_class"] = kind
    for key, values in data.items():
        made[key] = values
    return made


def scan(file, definition=True):
    """A triple-axis scan of five points with its own group of plottable data."""
    entry = group(file, "scan0001", "NXentry", **({"definition": "NXtas"} if definition else {}))
    along = {key: np.full(5, value) for key, value in (("qh", 0.5), ("qk", 0.5), ("ql", 1.0))}
    group(entry, "sample", "NXsample", en=np.arange(5.0), **along)
    data = group(entry, "data", "NXdata", detector=np.arange(5), en=np.arange(5.0))
    data.attrs["signal"], data.attrs["axes"], data["en"].attrs["units"] = "detector", "en", "meV"


def undefined_scan(file):
    scan(file, definition=False)


def converted(file):
    """Pixels of CAMEA, of which a cut of two dimensions could be mistaken for a map."""
    entry = group(file, "entry", "NXentry", definition="NXsqom")
    pixels = {key: np.zeros((3, 4)) for key in ("h", "k", "l", "en", "intensity")}
    group(entry, "data", "NXdata", **pixels).attrs["signal"] = "intensity"


def raw(file):
    entry = group(file, "entry", "NXentry")
    instrument = group(entry, "CAMEA", "NXinstrument")
    instrument.create_group("calib1")
    instrument.create_group("analyzer")
    group(entry, "data", "NXdata", counts=np.zeros((3, 4))).attrs["signal"] = "counts"


def spectra(file):
    """Detectors against energy transfer, as SaveNexus writes them."""
    entry = group(file, "mantid_workspace_1", "NXentry")
    kept = group(entry, "workspace", "NXdata", values=np.ones((6, 4)), errors=np.ones((6, 4)), axis1=np.arange(5.0))
    kept["axis2"] = np.arange(6.0)
    kept["values"].attrs["signal"], kept["values"].attrs["axes"] = 1, "axis2,axis1"
    kept["axis1"].attrs["units"], kept["axis2"].attrs["units"] = "DeltaE", "spectraNumber"


def neutrons(file):
    group(group(file, "mantid_workspace_1", "NXentry"), "event_workspace", "NXdata", tof=np.zeros(3))


def events(file):
    group(group(file, "entry", "NXentry"), "bank1_events", "NXevent_data", event_id=np.zeros(3))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (scan, r"triple-axis scan of 5 points \(NXtas\).*h,k,l,E,I,sigma,counts,norm"),
        (undefined_scan, "triple-axis scan of 5 points"),
        (converted, "single pixels of a multiplexing spectrometer.*MJOLNIR and write a table"),
        (raw, "raw counts of a multiplexing spectrometer"),
        (spectra, r"Mantid workspace of 6 spectra \(spectraNumber against DeltaE\).*SaveNXSPE.*ConvertToMD.*SaveMD"),
        (neutrons, "Mantid workspace of events; .*SaveNXSPE"),
        (events, r"raw events against time of flight \(entry/bank1_events\).*DgsReduction"),
    ],
)
def test_a_file_that_is_not_read_is_named_with_what_to_convert_it_to(tmp_path, content, said):
    with h5py.File(tmp_path / "x.nxs", "w") as file:
        content(file)
    with pytest.raises(DataError, match=said):
        read(tmp_path / "x.nxs", trusted=True)


def test_no_wavevector_is_asked_for_where_each_point_has_its_own(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        scan(file)
    with pytest.raises(DataError, match="triple-axis"):
        read(tmp_path / "x.h5", q_origin=(0, 0, 0))
    with pytest.raises(DataError, match="triple-axis"):
        options_of(tmp_path / "x.h5")


@pytest.mark.parametrize(
    ("name", "said"),
    [("nitio3-ctax/scan0034.h5", "triple-axis scan of 40"), ("mjolnir/camea2018n000017.nxs", "multiplexing")],
)
def test_the_public_files_that_are_not_read_are_named(shared, name, said):
    with pytest.raises(DataError, match=said):
        read(shared / "data" / "public" / name)
