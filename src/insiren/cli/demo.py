"""The whole pipeline on what is bundled."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from insiren.cli.session import (
    Json,
    Seed,
    Timer,
    check_file,
    check_folder,
    facts,
    rounded,
    say,
    whole_folder,
    write_json,
)

TRUTH = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.08}
NEUTRONS = 200_000
STRIPE = slice(60, 76)  # columns that were not measured
SURROGATE = "la2nio4.insiren"


def demo(
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")] = Path("insiren-demo"),
    seed: Seed = 0,
    json_: Json = None,
) -> None:
    """The whole pipeline on what is bundled: simulate a measurement, fit it by the surrogate, report.

    Example: `insiren demo --out demo`
    """
    check_folder(out)
    check_file(json_, out)
    with Timer() as timer, whole_folder(out) as folder:
        content = _run(folder, seed, timer)
        made = facts(timer.seconds)
    content |= made
    write_json(content, json_)
    quiet = str(json_) == "-"
    show = say if quiet else print
    for line in content["summary"]:
        show(line)
    page = (out / "report.html").absolute()
    show(f"report: {page}")
    screen = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not quiet and sys.stdout.isatty() and screen:
        typer.launch(page.as_uri())


def _run(folder: Path, seed: int, timer: Timer) -> dict[str, Any]:
    """Simulates, fits and reports into the folder; the fit as JSON, with the truth beside it."""
    import numpy as np

    from insiren.data.counts import count
    from insiren.data.files import read, write_csv
    from insiren.data.simulated import simulate
    from insiren.fit.landscape import around
    from insiren.fit.optimise import fit
    from insiren.forward import Points
    from insiren.instrument.exact import exact
    from insiren.model.crystal import route
    from insiren.model.spec import load_model
    from insiren.report import report, save_fit
    from insiren.surrogate.store import load_surrogate

    timer("simulate", 0.0)
    model = load_model("la2nio4")
    energies = np.arange(20.0, 141.0)
    clean = simulate(exact(model), TRUTH, Points.table(route(model, "path1")[0], energies))
    clean.values[STRIPE] = np.nan
    level = np.nanmean(clean.values)
    background = level * (2.0 * np.exp(-(energies - 20) / 30) + 0.5)  # as phonons and multiple scattering would
    noisy = count(clean, NEUTRONS, seed, background)
    noisy.masks["missing"].values[STRIPE] = True
    noisy.name = "simulated measurement"
    write_csv([noisy], folder / "measurement.csv")
    result = fit(load_surrogate(SURROGATE), read(folder / "measurement.csv"), seed=seed, progress=timer)
    timer("landscape", 0.0)
    map_ = around(result, progress=timer)
    timer("report", 0.0)
    report(result, folder / "report.html", landscape=map_, facts=facts(timer.seconds) | {"truth": TRUTH})
    save_fit(result, folder / "fit.json", facts(timer.seconds) | {"truth": TRUTH})
    summary = [f"{NEUTRONS:,} neutrons simulated with {model.name}, fitted with the surrogate {SURROGATE}"]
    inside = True
    for name, truth in TRUTH.items():
        value, error = result.values[name], result.errors[name]
        distance = np.inf if error is None else abs(value - truth) / error
        inside = inside and bool(distance <= 2)
        summary.append(f"{name:<8} {rounded(value, error)}   truth {truth:g}   {distance:.1f} σ away")
    summary.append("the truth lies within 2 σ" if inside else "the truth lies outside 2 σ")
    return result.to_dict() | {"truth": TRUTH, "truth_within_2_sigma": inside, "summary": summary}
