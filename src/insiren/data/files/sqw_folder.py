"""Reader of the paper's CSV folder: matrices Sqw_NAME.csv with their Qlist, Elist and Err.

Intensities and errors are matrices with one row an energy and one column a wavevector; Qlist has the
rows h, k, l; Elist one energy a row. Exactly 0 in the raw intensities means not measured. `woBG`
files have a background removed, `corr` files also have the gaps filled: the mask comes from the raw
file whichever is read.

Source: Chitturi et al., Nat. Commun. 14, 5852 (2023), and the data published with it.
"""

from __future__ import annotations

import re
from array import array
from pathlib import Path

import numpy as np
import scipp as sc

from insiren.data.files.errors import NOTHING, standard
from insiren.data.files.hints import chosen, otherwise
from insiren.data.files.text import inside, lines
from insiren.data.scatter import taken_otherwise
from insiren.data.spectrum import image
from insiren.errors import DataError

# In the paper's data units. Its error files hold values near 0 beside ordinary intensities, and others beyond any
# intensity; neither is a weight to trust.
SIGMA_FLOOR = 0.03
SIGMA_MAX = 5.0

# Which file endings hold the intensities of a variant, the first that exists. Only paths with a gap have a
# `corr` file; the others have nothing to fill, so theirs is `woBG`.
VARIANTS = {"raw": ("",), "woBG": ("_woBG",), "corr": ("_woBG_corr", "_corr", "_woBG")}


def is_sqw_folder(path: Path) -> bool:
    """Whether a path is a folder that holds Sqw_NAME.csv files."""
    return path.is_dir() and any(path.glob("Sqw_*.csv"))


def read_sqw_folder(
    folder: Path, variant: str = "raw", zeros: str = "missing", errors: str | None = None
) -> list[sc.DataArray]:
    """Every data set of the folder, in the order of the names.

    Args:
        folder: holds the files.
        variant: "raw", "woBG" (a background removed) or "corr" (gaps filled, too; still masked).
        zeros: what exactly 0 in the raw file is, "missing" or "measured".
        errors: what the Err files hold, "sigma" or "variance"; by default σ, by their name, unless neighbouring pixels
            scatter by the square roots.

    Raises:
        DataError: a file that belongs to a data set is missing or damaged, or shapes disagree.
    """
    if variant not in VARIANTS:
        raise DataError(f"There is no variant {variant!r}; choose one of {', '.join(VARIANTS)}.")
    chosen("zeros", zeros)
    stems = (file.stem.removeprefix("Sqw_") for file in folder.glob("Sqw_*.csv"))
    names = sorted({re.sub(r"(_woBG|_corr|_temp)+$", "", stem) for stem in stems})
    return [_data_set(folder, name, variant, zeros, errors) for name in names]


def _data_set(folder: Path, name: str, variant: str, meaning: str, errors: str | None) -> sc.DataArray:
    """One data set, its errors taken by name unless told otherwise or the pixels scatter otherwise."""
    made = _taken(folder, name, variant, meaning, errors or "sigma")
    if errors is not None or (found := taken_otherwise(made)) is None or found[0] != "variance":
        return made
    return _taken(folder, name, variant, meaning, "variance", f", for {found[1]}")


def _taken(folder: Path, name: str, variant: str, meaning: str, errors: str, why: str = "") -> sc.DataArray:
    raw_file = _first(folder, name, [f"Sqw_{name}.csv"])
    sqw_file = _first(folder, name, [f"Sqw_{name}{ending}.csv" for ending in VARIANTS[variant]])
    q_file, err_file = (
        _first(folder, name, [f"{kind}_{name}_woBG.csv", f"{kind}_{name}.csv"]) for kind in ("Qlist", "Err")
    )
    e_file = _energies_of(folder, name)
    hkl, omega, err = (_matrix(file, finite=True) for file in (q_file, e_file, err_file))
    raw = _matrix(raw_file)
    sqw = raw if sqw_file == raw_file else _matrix(sqw_file)
    _check_shape(q_file, hkl, (3, hkl.shape[1]), "rows h, k, l")
    _check_shape(e_file, omega, (omega.shape[0], 1), "one energy a row")
    for file, matrix in ((raw_file, raw), (sqw_file, sqw), (err_file, err)):
        needed = (len(omega), hkl.shape[1])
        _check_shape(
            file, matrix, needed, f"a row for each energy of {e_file.name}, a column for each of {q_file.name}"
        )
    zeros = raw == 0
    sigma, said = standard(err, errors, err_file.name)
    return image(
        name,
        hkl.T,
        omega[:, 0],
        sqw.T,
        sigma.T,
        missing=((zeros & (meaning == "missing")) | _nothing(raw) | _nothing(sqw)).T,
        assumed=[
            f"intensities from {sqw_file.name}, wavevectors from {q_file.name}, energies from {e_file.name}; "
            f"--hint variant={' or '.join(v for v in VARIANTS if v != variant)} takes other intensities",
            said.replace(";", f"{why};", 1),
            f"exactly 0 in {raw_file.name} means {'not ' if meaning == 'missing' else ''}measured: {int(zeros.sum())} "
            f"pixels of {raw.size}; {otherwise('zeros', meaning)} changes it",
        ],
        sigma_floor=SIGMA_FLOOR,
        sigma_max=SIGMA_MAX,
    )


def _nothing(matrix: np.ndarray) -> np.ndarray:
    """What no intensity is: NaN, or −1e20 for not measured."""
    return np.isnan(matrix) | (matrix <= NOTHING)


def _first(folder: Path, name: str, candidates: list[str]) -> Path:
    for candidate in candidates:
        if (folder / candidate).is_file():
            return folder / candidate
    raise DataError(f"{folder}: data set {name} needs {' or '.join(candidates)}, which is not there. Add it.")


def _energies_of(folder: Path, name: str) -> Path:
    own = (f"Elist_{name}_woBG.csv", f"Elist_{name}.csv", "Elist.csv")
    for candidate in own:
        if (folder / candidate).is_file():
            return folder / candidate
    others = sorted(folder.glob("Elist_*.csv"))
    if len(others) == 1:
        return others[0]
    raise DataError(
        f"{folder}: data set {name} needs its energies; there is no {' or '.join(own)}, and {len(others)} other "
        "Elist files where a single one would serve for all. Add it."
    )


def _matrix(file: Path, finite: bool = False) -> np.ndarray:
    """Numbers of a CSV file, shape (rows, columns); blank is NaN.

    Args:
        file: comma separated, without a header.
        finite: whether NaN and infinity are refused.
    """
    rows: list[array] = []
    # What is not text becomes text that is no number, and is refused below with its place.
    for number, line in enumerate(lines(inside(file.parent, file)), start=1):
        if not line.strip():
            continue
        cells = enumerate(line.split(","), start=1)
        rows.append(array("d", [_number(file, number, column, cell) for column, cell in cells]))
        if len(rows[-1]) != len(rows[0]):
            raise DataError(f"{file}, line {number}: {len(rows[-1])} values where the lines above have {len(rows[0])}.")
        if finite and not np.all(np.isfinite(rows[-1])):
            column = int(np.flatnonzero(~np.isfinite(rows[-1]))[0]) + 1
            raise DataError(
                f"{file}, line {number}, column {column}: {rows[-1][column - 1]} where a finite number is needed. "
                "Correct the file; only intensities may be missing."
            )
    if not rows:
        raise DataError(f"{file} is empty.")
    return np.array(rows)


def _number(file: Path, line: int, column: int, cell: str) -> float:
    try:
        return float(cell) if cell.strip() else np.nan
    except ValueError:
        raise DataError(f"{file}, line {line}, column {column}: {cell.strip()[:30]!r} is not a number.") from None


def _check_shape(file: Path, matrix: np.ndarray, needed: tuple[int, int], why: str) -> None:
    if matrix.shape != needed:
        raise DataError(
            f"{file} has {matrix.shape[0]} rows and {matrix.shape[1]} columns where {needed[0]} and {needed[1]} are "
            f"needed ({why}). Is it the file of another path?"
        )
