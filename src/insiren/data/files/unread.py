"""HDF5 files that are known for what they are and not read, each with what to convert it to.

Most of them hold a group of plottable data, which says nothing of the wavevector: taken for plain NXdata they would be
asked for a wavevector that the file keeps elsewhere, point by point, or be read at one that nobody measured.

Source: NeXus, application definitions NXtas, NXsqom and NXspe; Mantid, algorithm SaveNexusProcessed; SINQ, CAMEA.
"""

from __future__ import annotations

from insiren.data.files.tree import Node

TABLE = "a table with the columns h,k,l,E,I,sigma"
DEPTH = 2  # groups within an entry that are looked through
GROUPS = 200  # of them at most
MANTID = (
    "save it with SaveNXSPE while its axis is still DeltaE, or turn it into h, k, l with ConvertToMD and MDNorm (or "
    "BinMD) and save that with SaveMD"
)


def unread(root: Node) -> str | None:
    """What a file is, and what to do, as the end of a sentence that begins with its name; None where it is unknown.

    Args:
        root: of the file.
    """
    for entry in [*root.groups()][:GROUPS]:
        for told in (_mantid(entry), _triple_axis(entry), _multiplexed(entry), _events(entry)):
            if told is not None:
                return told
    return None


def _mantid(entry: Node) -> str | None:
    """Spectra of detectors, or of groups of them, as SaveNexus keeps them."""
    kept = entry.get("workspace")
    if kept is None or not kept.is_group or kept.get("axis1") is None:
        return None if entry.get("event_workspace") is None else f"is a Mantid workspace of events; {MANTID}"
    axes = [node.attribute("units") for key in ("axis1", "axis2") if (node := kept.get(key)) is not None]
    of = " against ".join(unit for unit in reversed(axes) if unit) or "without units"
    values = kept.get("values")
    many = "" if values is None or len(values.shape) != 2 else f"{values.shape[0]} "
    return f"is a Mantid workspace of {many}spectra ({of}), which says nothing of h, k, l or |Q|; {MANTID}"


def _triple_axis(entry: Node) -> str | None:
    """A scan, point by point, each with its own wavevector."""
    sample = entry.get("sample")
    along = [] if sample is None else [key for key in ("qh", "qk", "ql", "en") if key in sample.members]
    if _definition(entry) != "NXtas" and len(along) < 4:
        return None
    en = None if sample is None else sample.get("en")
    many = f" of {en.shape[0]} points" if en is not None and len(en.shape) == 1 else ""
    return (
        f"is a triple-axis scan{many} (NXtas), which is not read yet; write {TABLE},counts,norm with one row for each "
        "point: its qh, qk, ql, en, the detector's counts over the monitor's, the error of that, the counts and the "
        "monitor"
    )


def _multiplexed(entry: Node) -> str | None:
    """Pixels of a spectrometer with many analysers, converted to h, k, l and energy one by one, or still raw."""
    data = entry.get("data")
    inside = set(data.members) if data is not None else set()
    if {"h", "k", "l", "en", "intensity"} <= inside or _definition(entry) == "NXsqom":
        return (
            "holds single pixels of a multiplexing spectrometer (NXsqom, as MJOLNIR converts those of CAMEA), each at "
            f"its own h, k, l and energy, which are not read yet; bin them in MJOLNIR and write {TABLE}"
        )
    instruments = [node for node in entry.groups() if any(key.startswith("calib") for key in node.members)]
    if not any(node.get("analyzer") or node.get("analyser") for node in instruments):
        return None
    return (
        "holds the raw counts of a multiplexing spectrometer such as CAMEA, without h, k, l; convert and bin them in "
        f"MJOLNIR and write {TABLE}"
    )


def _events(entry: Node) -> str | None:
    """Neutrons one by one against time of flight, as a spectrometer writes them."""
    for group in [*entry.groups()][:GROUPS]:
        if group.attribute("NX_class") == "NXevent_data":
            return (
                f"holds raw events against time of flight ({group.path.strip('/')}), not a reduced spectrum; reduce "
                "it, for example with DgsReduction of Mantid, and save that with SaveNXSPE, or MDNorm with SaveMD"
            )
    return None


def _definition(entry: Node) -> str:
    node = entry.get("definition")
    return node.text().strip() if node is not None and node.is_text else ""
