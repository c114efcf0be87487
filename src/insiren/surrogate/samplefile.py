"""Array files of precomputed spectra: NumPy's .npz, HDF5 or safetensors, one layout for all.

    params   (m, p)              parameter sets
    names    p strings           what they are called
    hkl      (q, 3) | (m, q, 3)  wavevectors in r.l.u.
    omega    (w,) | (m, q, w)    energy transfers in meV
    S        (m, q, w)           spectra per meV and crystal cell, NaN where there is none
    bounds   (p, 2)              optional: the box; by default what params span
    units    p strings           optional

Strings are an array of strings in .npz, a data set or an attribute of the file in HDF5, and a JSON
list in the metadata of safetensors. Nothing is unpickled.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from safetensors import SafetensorError, safe_open

from insiren.errors import SurrogateError
from insiren.forward import Parameter
from insiren.surrogate.samples import Samples, samples

SUFFIXES = (".npz", ".h5", ".hdf5", ".safetensors")
_ARRAYS = ("params", "hkl", "omega", "S")
_TEXTS = ("names", "units")


def read_samples(path: str | Path) -> Samples:
    """Precomputed spectra from an array file.

    Raises:
        SurrogateError: there is no such file, an array is missing, or arrays do not fit together.
    """
    path = Path(path)
    if not path.is_file():
        raise SurrogateError(f"There is no file {path}.")
    readers = {".npz": _npz, ".h5": _hdf5, ".hdf5": _hdf5, ".safetensors": _safetensors}
    if path.suffix not in readers:
        raise SurrogateError(f"{path}: spectra to learn from are read from {', '.join(SUFFIXES)}.")
    try:
        content = readers[path.suffix](path)
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, SafetensorError) as error:
        raise SurrogateError(f"{path} is truncated or no {path.suffix} file of plain arrays ({error}).") from error
    if lacking := [name for name in (*_ARRAYS, "names") if name not in content]:
        raise SurrogateError(f"{path} lacks {', '.join(lacking)}; it needs {', '.join(_ARRAYS)} and names.")
    try:
        return samples(_parameters(content), *(content[name] for name in _ARRAYS))
    except (SurrogateError, ValueError, TypeError) as error:
        raise SurrogateError(f"{path}: {error}") from error


def _parameters(content: dict[str, Any]) -> tuple[Parameter, ...]:
    params = np.asarray(content["params"], float)
    names = [str(name) for name in np.atleast_1d(content["names"])]
    units = [str(unit) for unit in np.atleast_1d(content.get("units", [""] * len(names)))]
    if params.ndim != 2 or not params.shape[1] == len(names) == len(units) or len(set(names)) != len(names):
        raise SurrogateError(
            f"params {params.shape} is (m, p) for p different names, but there are {names} in {units}."
        )
    bounds = np.asarray(content.get("bounds", np.stack([params.min(0), params.max(0)], 1)), float)
    if bounds.shape != (len(names), 2):
        raise SurrogateError(f"bounds has shape {bounds.shape}; {len(names)} parameters need ({len(names)}, 2).")
    return tuple(
        Parameter(name, float((low + high) / 2), float(low), float(high), unit, True)
        for name, (low, high), unit in zip(names, bounds, units, strict=True)
    )


def _npz(path: Path) -> dict[str, Any]:
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:  # numpy leaves a broken one open
        return {name: file[name] for name in (*_ARRAYS, *_TEXTS, "bounds") if name in file}


def _hdf5(path: Path) -> dict[str, Any]:
    def plain(x: Any) -> Any:
        return [t.decode() if isinstance(t, bytes) else str(t) for t in np.atleast_1d(x)]

    with h5py.File(path) as file:
        found = {name: np.asarray(file[name]) for name in (*_ARRAYS, "bounds") if name in file}
        for name in _TEXTS:
            if name in file or name in file.attrs:
                found[name] = plain(np.asarray(file[name]) if name in file else file.attrs[name])
        return found


def _safetensors(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="numpy") as file:
        held = set(file.keys())
        found = {name: file.get_tensor(name) for name in (*_ARRAYS, "bounds") if name in held}
        told = file.metadata() or {}
        return found | {name: json.loads(told[name]) for name in _TEXTS if name in told}
