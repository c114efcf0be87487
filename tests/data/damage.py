"""Damages files: bytes of any, numbers and words of texts, objects and attributes of HDF5."""

from __future__ import annotations

import re

import h5py
import numpy as np

NUMBER = re.compile(rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")
# What no honest number looks like, or what numbers look like at the ends of their range.
NUMBERS = (
    *(b"nan", b"-nan", b"inf", b"-inf", b"1e308", b"-1e308", b"1e309", b"1e-320", b"0", b"-0", b"-1", b"1", b"2"),
    *(b"", b" ", b".", b"-", b"1e", b"0x10", b"1_0", b"\xc2\xb2", b"\xd9\xa3", b"9" * 25, b"9" * 5000, b"1e30"),
    *(b"65536", b"2147483648", b"9223372036854775808", b"true", b"None", b"1,5", b"1;5", b"NaN(123)", b"5e-324"),
)
PIECES = (
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\x0b", b"\x1c", b"\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xff\xfe"),
    *(b",", b";", b"\t", b" ", b'"', b"'", b"#", b"# ", b"# [", b"# [x]\n", b"###", b"=", b"[", b"]", b"|", b":", b"x"),
    *(b"# name = \n", b"# layout = points\n", b"# Ei = nan\n", b"# assumed = x\n", b"# shape: 0x0\n", b"\x1b[31m"),
    *(b"# bins_hkl = 1 0\n", b"# bin_omega = -1\n", b"# lattice = 1, 2\n", b"# sigma_max = nan\n", b"# h = 1\n"),
    *(b"# kind = peaks\n", b"# sigma_floor = x\n", b"# counts = 1\n", b"../../../etc/passwd", b"%s%n", b"{0}"),
)
LONG = 20_000  # bytes of a word or a line that goes on and on


def of_bytes(content: bytes, random: np.random.Generator) -> bytes:
    """A copy with some bytes changed, blanked, moved, lost or cut off."""
    data = bytearray(content)
    for _ in range(random.integers(1, 5)):
        if not data:
            break
        at, size = int(random.integers(len(data))), int(2 ** random.uniform(0, 9))
        kind = random.integers(7)
        if kind <= 1:
            data[at] ^= 1 << int(random.integers(8))
        elif kind == 2:
            data[at] = int(random.integers(256))
        elif kind == 3:
            # Numbers at the ends of their range, where sizes and offsets are.
            length = int(random.choice([1, 2, 4, 8]))
            value = int(random.choice([0, 1, 0x7F, 0x80, 0xFF]))
            data[at : at + length] = bytes([value]) * len(data[at : at + length])
        elif kind == 4:
            data[at : at + size] = bytes(len(data[at : at + size]))
        elif kind == 5:
            source = int(random.integers(len(data)))
            data[at : at + size] = data[source : source + len(data[at : at + size])]
        elif random.random() < 0.3:
            del data[at:]
        else:
            del data[at : at + size]
    return bytes(data)


def of_text(content: bytes, random: np.random.Generator) -> bytes:
    """A copy with numbers and words replaced, pieces put in, and lines lost, doubled, swapped or joined."""
    for _ in range(random.integers(1, 4)):
        kind, lines = random.integers(9), content.split(b"\n")
        n = int(random.integers(len(lines)))
        if kind <= 2 and (there := list(NUMBER.finditer(content))):
            for one in there if random.random() < 0.05 else [there[random.integers(len(there))]]:
                new = NUMBERS[random.integers(len(NUMBERS))]
                content = content[: one.start()] + new + content[one.end() :]
            continue
        if kind == 3:
            at, piece = int(random.integers(len(content) + 1)), PIECES[random.integers(len(PIECES))]
            content = content[:at] + piece + content[at:]
            continue
        if kind == 4:
            del lines[n]
        elif kind == 5:
            lines.insert(int(random.integers(len(lines) + 1)), lines[n])
        elif kind == 6:
            cells = re.split(rb"([,\s]+)", lines[n])
            del cells[int(random.integers(len(cells)))]
            lines[n] = b"".join(cells)
        elif kind == 7:
            lines[n] = lines[n] * int(LONG / (len(lines[n]) + 1) * random.random() + 1)
        else:
            word = re.findall(rb"\w+", content)
            old, new = (word[random.integers(len(word))] for _ in "on") if word else (b"a", b"b")
            content = content.replace(old, new, 1 if random.random() < 0.7 else -1)
            continue
        content = b"\n".join(lines)
    return content


def of_hdf5(content: bytes, random: np.random.Generator) -> bytes:
    """A copy with objects or attributes replaced, lost, linked elsewhere or of another type, shape or value."""
    try:
        return _of_objects(content, random)
    except (KeyError, ValueError, TypeError, OSError, RuntimeError, OverflowError):
        return of_bytes(content, random)  # what HDF5 refuses to write cannot be in a file


def _of_objects(content: bytes, random: np.random.Generator) -> bytes:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fapl_core(backing_store=False)  # in memory, and nowhere else
    access.set_file_image(content)
    image = h5py.h5f.open(b"damaged", h5py.h5f.ACC_RDWR, access)
    with h5py.File(image) as file, np.errstate(all="ignore"):
        for _ in range(random.integers(1, 4)):
            names: list[str] = []
            file.visit(names.append)
            if not names:
                break
            name = names[random.integers(len(names))]
            other = names[random.integers(len(names))]
            # What an earlier damage made may lead nowhere.
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                continue
            found = file[name]
            if random.random() < 0.4 and len(found.attrs):
                _of_attribute(found, random)
            elif isinstance(found, h5py.Dataset):
                _of_dataset(file, name, other, random)
            else:
                _of_group(file, name, other, random)
        file.flush()
        return image.get_file_image()


WORDS = ("", "x", "NXentry", "NXdata", "D0", "D1:D0", "signal", "meV", "1/angstrom", "[H,0,0]", "|Q|", "nan", "\x1b[3m")
NUMERIC = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1.0, 2.0, 1e308, -1e308, 5e-324, 2.0**63, 1e30, 0.5)
TYPES = ("f4", ">f8", "f2", "i1", "u8", "i8", "c16", "S5", "?", "O")


def _value(random: np.random.Generator):
    kind = random.integers(7)
    if kind == 0:
        return WORDS[random.integers(len(WORDS))]
    if kind == 1:
        return NUMERIC[random.integers(len(NUMERIC))]
    if kind == 2:
        return random.choice(NUMERIC, random.integers(0, 9))
    if kind == 3:
        return [WORDS[n] for n in random.integers(1, len(WORDS), random.integers(1, 4))]
    if kind == 4:
        return int(random.integers(-(2**63), 2**63 - 1))
    if kind == 5:
        return np.zeros(2, [("a", "f8"), ("b", "i4")])
    return h5py.Empty("f8")


def _of_attribute(found, random: np.random.Generator) -> None:
    name = list(found.attrs)[random.integers(len(found.attrs))]
    value = _value(random) if random.random() < 0.8 else None
    del found.attrs[name]
    if value is not None:
        found.attrs["".join(name) if random.random() < 0.95 else "other"] = value


def _of_dataset(file: h5py.File, name: str, other: str, random: np.random.Generator) -> None:
    data, kind = file[name], random.integers(8)
    if data.shape is None or data.dtype.kind not in "biuf" or data.size > LONG:
        kind = 7 if kind < 6 else kind
    attrs = dict(data.attrs)
    if kind <= 2 and data.size:
        # Some or all of the numbers, in their place.
        values = data[()]
        flat = np.array(values, float).ravel()
        where = slice(None) if random.random() < 0.3 else random.integers(0, flat.size, random.integers(1, 4))
        flat[where] = NUMERIC[random.integers(len(NUMERIC))]
        with np.errstate(all="ignore"):
            data[...] = flat.reshape(data.shape).astype(data.dtype)
        return
    values = None if kind in (6, 7) else np.array(data[()], float)
    del file[name]
    if kind == 3:
        axis = int(random.integers(max(1, values.ndim)))
        keep = int(random.integers(0, 4))
        new = values.ravel()[:keep] if values.ndim < 2 else np.take(values, range(min(keep, values.shape[axis])), axis)
    elif kind == 4:
        new = values.reshape([-1, 1] if values.ndim == 1 else [-1] if random.random() < 0.5 else values.shape[::-1])
    elif kind == 5:
        kind_of = TYPES[random.integers(len(TYPES))]
        new = values.astype(str).astype(object) if kind_of == "O" else values.astype(kind_of)
    elif kind == 6:
        _linked(file, name, other, random)
        return
    else:
        new = _value(random)
    if random.random() < 0.05:
        shape = [int(2 ** random.uniform(0, 30)) for _ in range(random.integers(1, 5))]
        made = file.create_dataset(name, shape, "f8", chunks=tuple(min(n, 8) for n in shape))
    else:
        made = file.create_dataset(name, data=new)
    made.attrs.update({key: value for key, value in attrs.items() if not isinstance(value, h5py.Reference)})


def _of_group(file: h5py.File, name: str, other: str, random: np.random.Generator) -> None:
    kind = random.integers(4)
    if kind == 0 and name.count("/"):
        file[f"{name}/loop"] = file[name.rsplit("/", 1)[0]]
    elif kind == 1:
        file.move(name, f"moved{random.integers(1000)}")
    elif kind == 2:
        del file[name]
        _linked(file, name, other, random)
    else:
        del file[name]
        file[name] = _value(random)


def _linked(file: h5py.File, name: str, other: str, random: np.random.Generator) -> None:
    kind = random.integers(4)
    if kind == 0 and other in file:
        file[name] = file[other]
    elif kind == 1:
        file[name] = h5py.ExternalLink("/etc/passwd", "/x")
    else:
        file[name] = h5py.SoftLink("/" + (other if kind == 2 else name))
