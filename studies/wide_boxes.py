"""A box of any width leads to the global minimum or to a refusal: no wrong answer.

    INSIREN_SHARED=FOLDER nice python studies/wide_boxes.py [SEEDS [CASE...]]     ten seeds of every case by default

Cs2CuCl4 (simulated, 4,000 neutrons) in boxes of ±1, ±20 and ±100 meV for J and Jp, La2NiO4 (measured) and the peaks of
LuVO3 (published) in their boxes and in ten times, the peaks in twenty times as wide ones about the same middle. The
model's own values are drawn in the box with every seed, so that no answer is next to where it begins. Right is an
answer within 3 σ of the known one, for the measured ones that in the model's own box; of equals that no energy tells
apart, any. Prints a line a fit, then a table; the exit status is 1 where a wrong answer was given without a refusal, or
fewer are right than each case promises.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import insiren as ins
from insiren.errors import InsirenError

WITHIN = 3.0  # σ


class Case(NamedTuple):
    """A measurement and a box.

    Attributes:
        model: bundled name or file below the shared folder.
        data: below the shared folder.
        bounds: of couplings; others keep the model's.
        known: right values, or None for those in the model's own box.
        least: fits of ten that must be right.
    """

    model: str
    data: str
    bounds: dict[str, tuple[float, float]]
    known: dict[str, float] | None
    least: int


CS = ("cases/cs2cucl4.toml", "cases/cs2cucl4-10T.csv")
CS_KNOWN = {"J": 0.374, "Jp": 0.128, "g": 1.82}
LA = ("la2nio4", "data/la2nio4")
LU = ("luvo3", "data/luvo3/LuVO3_fitted_modes.txt")


def wider(model: str, factor: float) -> dict[str, tuple[float, float]]:
    """Bounds of the couplings of a bundled model, so many times as wide about the same middle."""
    free = [p for p in ins.exact(ins.load_model(model)).parameters if p.free and p.unit == "meV"]
    return {p.name: ((p.min + p.max - factor * (p.max - p.min)) / 2, (p.min + p.max + factor * (p.max - p.min)) / 2)
            for p in free}  # fmt: skip


def cases() -> dict[str, Case]:
    """All of them by name."""
    both = lambda b: {"J": (-b, b), "Jp": (-b, b)}  # noqa: E731
    return {
        "cs2cucl4 ±1": Case(*CS, both(1.0), CS_KNOWN, 10),
        "cs2cucl4 ±20": Case(*CS, both(20.0), CS_KNOWN, 8),
        "cs2cucl4 ±100": Case(*CS, both(100.0), CS_KNOWN, 5),
        "la2nio4 ×1": Case(*LA, {}, None, 10),
        "la2nio4 ×10": Case(*LA, wider("la2nio4", 10.0), None, 5),
        "luvo3 ×1": Case(*LU, {}, None, 10),
        "luvo3 ×10": Case(*LU, wider("luvo3", 10.0), None, 5),
        "luvo3 ×20": Case(*LU, wider("luvo3", 20.0), None, 5),
    }


def source(shared: Path, case: Case, seed: int | None) -> ins.Forward:
    """The simulator; with a seed, its own values drawn in the box."""
    path = shared / case.model
    model = ins.load_model(path if path.exists() else case.model)
    if seed is not None:
        rng = np.random.default_rng(seed)
        for name, p in model.parameters.items():
            if p.free and p.unit == "meV":
                low, high = case.bounds.get(name, (p.min, p.max))
                value = float(rng.uniform(low, high))
                moved = {name: p.model_copy(update={"value": value, "min": min(low, p.min), "max": max(high, p.max)})}
                model = model.model_copy(update={"parameters": {**model.parameters, **moved}})
    return ins.exact(model)


def near(values: dict[str, float], known: dict[str, float], errors: dict[str, float | None]) -> bool:
    """Whether values are within 3 σ of the known ones, at least one of which has an error."""
    off = [abs(values[n] - known[n]) / e for n in values if n in known and (e := errors[n])]
    return bool(off) and max(off) <= WITHIN


def main() -> int:
    """Prints the table."""
    shared = Path(os.environ["INSIREN_SHARED"])
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    rows, failed = [], False
    for name, case in cases().items():
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        data = ins.read(shared / case.data)
        known = case.known or ins.fit(source(shared, case, None), data).values
        right, refused, wrong, seconds = 0, 0, 0, 0.0
        for seed in range(seeds):
            begun = time.perf_counter()
            try:
                answer = ins.fit(source(shared, case, seed), data, bounds=case.bounds or None, seed=seed)
            except InsirenError as error:
                verdict, said = "refused", str(error)
                refused += 1
            else:
                off = [
                    abs(answer.values[n] - known[n]) / e for n in answer.names if n in known and (e := answer.errors[n])
                ]
                good = bool(off) and max(off) <= WITHIN
                right, wrong = right + good, wrong + (not good)
                verdict = "right" if good else "WRONG"
                values = ", ".join(f"{n} {answer.values[n]:.4g}" for n in answer.names)
                extra = answer.search or {}
                said = f"{values}; objective {answer.objective_value:.6g}; points {extra.get('points')}"
                said += f", agree {extra.get('agree')}, expected {extra.get('expected')}"
                said += "".join(
                    f"\n      note: {line}" for line in answer.remarks() if "search" in line or "wide" in line
                )
            took = time.perf_counter() - begun
            seconds += took
            print(f"{name}, seed {seed}: {verdict} ({took:.1f} s): {said}", flush=True)
        rows.append((name, right, refused, wrong, seconds / seeds))
        failed |= wrong > 0 or right < case.least * seeds / 10
    print(f"\n{'case':<16} {'right':>6} {'refused':>8} {'wrong':>6} {'s a fit':>8}")
    for name, right, refused, wrong, mean in rows:
        print(f"{name:<16} {right:>6} {refused:>8} {wrong:>6} {mean:>8.1f}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
