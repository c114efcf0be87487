"""Answers questions about one HDF5 file, in the process of the reader or as a confined child.

HDF5 is a large C library that a damaged or hostile file can crash, so `sandbox` runs this file as a
script: requests come as lines of JSON, answers go as a length, a line of JSON and raw numbers; no
pickle, so that a child that was taken over can send nothing but numbers and text. It imports only
numpy and h5py, which makes a child cheap. Nothing outside the file is ever opened: external links,
virtual data sets and external storage are refused.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from typing import Any

import h5py
import numpy as np

try:
    import resource  # not on Windows, where a child is bounded in wall time alone
except ImportError:
    resource = None

MEMORY = 2 << 30  # bytes of address space of a child; a block of `BLOCK` bytes, its copy, and h5py itself fit
BLOCK = 1 << 29  # bytes, decompressed, of one request at most
MEMBERS = 20_000  # of one group; a run with every log of a beamline has some thousands
HOPS = 16  # soft links one after another; NeXus needs one
SMALL = 10_000  # numbers of an attribute, or strings of a text
TEXT = 1 << 20  # characters of one text
DESCRIPTORS = 64


class Refused(Exception):
    """The file asks for something that is never done."""


def answer(file: h5py.File, request: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray | None]:
    """The reply to one request, with the numbers where it asks for some.

    Args:
        file: open for reading.
        request: `do` is "describe", "text" or "block"; `path` names the object; a block has
            `start` and `stop` along every dimension.

    Returns:
        A dict that JSON can carry, {"error": why} where there is no answer, and the block.
    """
    try:
        found = _resolve(file, request["path"])
        if request["do"] == "describe":
            return _described(found), None
        if not isinstance(found, h5py.Dataset):
            raise Refused("is a group where data are needed")
        if request["do"] == "text":
            return {"text": _text(found)}, None
        block = _block(found, request["start"], request["stop"])
        return {"dtype": block.dtype.str, "shape": block.shape}, block
    except Refused as error:
        return {"error": str(error)}, None
    except MemoryError:
        return {"error": "would need more memory than a reader may take"}, None
    # HDF5 raises whatever its C library had in mind; a damaged file must not get further than this.
    except Exception as error:
        return {"error": f"cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:200]})"}, None


def _resolve(file: h5py.File, path: str, hops: int = 0) -> Any:
    """The object at a path, soft links followed by hand so that none leads out or round in circles."""
    found: Any = file
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for i, part in enumerate(parts):
        key = part.encode("utf-8", "surrogateescape")
        kind = _link(found, key)
        if kind is None:
            raise Refused("does not exist")
        if kind == h5py.h5l.TYPE_SOFT:  # pyright: ignore[reportAttributeAccessIssue]
            if hops >= HOPS:
                raise Refused(f"is behind more than {HOPS} links, which may go round in circles")
            to = _name(found.id.links.get_val(key))
            start = "" if to.startswith("/") else "/".join(parts[:i])
            return _resolve(file, "/".join([start, to, *parts[i + 1 :]]), hops + 1)
        if kind != h5py.h5l.TYPE_HARD:  # pyright: ignore[reportAttributeAccessIssue]
            raise Refused("is a link to another file, which is never followed; copy the data into one file")
        found = found[key]
    return found


def _link(found: Any, key: bytes) -> int | None:
    """The type of a link, or None where there is none; one that nothing lies behind is a link all the same."""
    # HDF5 knows no way up, and "found.get(key, getlink=True)" takes three times as long.
    if not isinstance(found, h5py.Group) or key == b"..":
        return None
    try:
        return found.id.links.get_info(key).type
    except KeyError:
        return None


def _described(found: Any) -> dict[str, Any]:
    attrs = _attributes(found)
    if isinstance(found, h5py.Group):
        if len(found) > MEMBERS:
            raise Refused(f"has {len(found)} members, more than the {MEMBERS} that any measurement needs")
        return {"kind": "group", "attrs": attrs, "members": [_name(key) for key in found]}
    if not isinstance(found, h5py.Dataset):
        return {"kind": "other", "attrs": attrs}
    if found.is_virtual or found.external:
        raise Refused("keeps its numbers in another file, which is never opened; copy the data into one file")
    kind = "text" if _is_text(found.dtype) else found.dtype.str if found.dtype.kind in "biuf" else "other"
    return {
        "kind": "dataset",
        "attrs": attrs,
        "shape": None if found.shape is None else list(found.shape),
        "dtype": kind,
        "chunks": list(found.chunks) if found.chunks else None,
        "stored": found.id.get_storage_size(),
    }


def _name(key: Any) -> str:
    """A name that JSON can carry and that finds its object again, whatever bytes it is made of."""
    return key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key


def _is_text(dtype: np.dtype) -> bool:
    return dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None


def _attributes(found: Any) -> dict[str, Any]:
    """The attributes that JSON can carry; one that cannot be read counts as absent."""
    attrs = {}
    for name in list(found.attrs)[:SMALL]:
        try:
            where = found.attrs.get_id(name)
            if where.shape is not None and np.prod(where.shape, dtype=float) <= SMALL and where.dtype.itemsize <= TEXT:
                attrs[_name(name)] = _plain(found.attrs[name])
        except Exception:
            continue
    return attrs


def _plain(value: Any) -> Any:
    """A number, text, list or dict; a list of one is that one, which is how some writers keep scalars."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")[:TEXT]
    if isinstance(value, str):
        return value[:TEXT]
    if isinstance(value, np.void):
        return {name: _plain(value[name]) for name in value.dtype.names or ()}
    if isinstance(value, np.ndarray):
        values = [_plain(item) for item in value.ravel()]
        return values[0] if len(values) == 1 else values
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, bool | int | float):
        return value
    raise TypeError(type(value).__name__)


def _text(found: h5py.Dataset) -> list[str]:
    if not _is_text(found.dtype):
        raise Refused(f"is of type {found.dtype} where text is needed")
    if found.is_virtual or found.external:
        raise Refused("keeps its text in another file, which is never opened")
    size = math.prod(found.shape or (0,))
    if found.shape is None or size > SMALL or size * found.dtype.itemsize > TEXT:
        raise Refused(f"holds {size} texts where 1 to {SMALL} are needed")
    return [str(_plain(item)) for item in np.ravel(np.asarray(found[()], object))]


def _block(found: h5py.Dataset, start: list[int], stop: list[int]) -> np.ndarray:
    if found.dtype.kind not in "biuf":
        raise Refused(f"is of type {found.dtype} where numbers are needed")
    if found.is_virtual or found.external:
        raise Refused("keeps its numbers in another file, which is never opened")
    sizes = [high - low for low, high in zip(start, stop, strict=True)]
    if found.shape is None or len(found.shape) != len(sizes):
        raise Refused(f"has the shape {found.shape}, not {len(sizes)} dimensions")
    if math.prod(sizes) * found.dtype.itemsize > BLOCK:
        raise Refused(f"was asked for {sizes} numbers at once, above the limit of {BLOCK} bytes")
    block = np.asarray(found[tuple(slice(low, high) for low, high in zip(start, stop, strict=True))])
    # Byte orders and widths that numpy or the reader's machine may not know are settled here.
    native = block.dtype.newbyteorder("=")
    plain = native if native.itemsize in (1, 2, 4, 8) and native != np.float16 else np.dtype(float)
    return np.asarray(block, plain, order="C")


def confine() -> None:
    """Bounds the memory and files of this process for good."""
    if resource is None:
        return
    for name, bound in (("AS", MEMORY), ("CORE", 0), ("FSIZE", 0), ("NOFILE", DESCRIPTORS)):
        try:
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (bound, bound))
        except (AttributeError, ValueError, OSError):  # not every system knows every limit
            continue


def _allow(seconds: float) -> None:
    """Lets this process compute for some seconds more; the system ends it when they are over."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def serve() -> None:
    """Answers requests from standard input until it closes; "open" replaces the file."""
    confine()
    file = None
    for line in sys.stdin.buffer:
        request, block = json.loads(line), None
        _allow(request["seconds"])
        if request["do"] == "open":
            try:
                if file is not None:
                    file.close()
                file = h5py.File(request["path"], "r")
                reply: dict[str, Any] = {}
            except Exception as error:
                file, reply = None, {"error": f"cannot be opened ({' '.join(str(error).split())[:200]})"}
        else:
            assert file is not None
            reply, block = answer(file, request)
        head = json.dumps(reply).encode()
        sys.stdout.buffer.write(struct.pack("<Q", len(head)) + head)
        if block is not None:
            sys.stdout.buffer.write(block.reshape(-1).view(np.uint8).data)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
    os._exit(0)  # closing a damaged file may crash or hang; everything has been said
