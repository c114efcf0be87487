"""One self-contained HTML page of a fit: what was found, how it looks, what was assumed."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.resources
import math
import os
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

from insiren.fit.landscape import Landscape
from insiren.fit.peak_fit import PeakFit
from insiren.fit.result import Fit
from insiren.forward import Parameter
from insiren.report import certainty, charts, look, words
from insiren.report.peaks import by_list, peak_plot, peak_rows
from insiren.report.saved import write
from insiren.report.spectra import Spectrum, cuts, dispersion, maps, named_points, point_plot, spectra

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def report(
    fit: Fit, path: str | os.PathLike[str], *, landscape: Landscape | None = None, facts: Mapping[str, Any] = _NOTHING
) -> Path:
    """Writes a fit as one HTML page that needs no network and no other file.

    Args:
        fit: the answer of a fit.
        path: of the page; an existing one is replaced, all at once.
        landscape: of two of its parameters, to be drawn with the ellipse of the covariance.
        facts: what the fit does not know: "date" (text; by default today), "assumed" (what the
            readers assumed: lines, or lines by data set), "seconds" (by stage), "baseline" (what peaks and
            a particle swarm find, as `Baseline.to_dict` gives it), and anything
            else worth recording, such as "seed" or "command".

    Returns:
        The path.

    Raises:
        FitError: the page cannot be written.
    """
    shown = spectra(fit)
    with look.style():
        sections = [
            _header(fit, facts),
            _parameters(fit),
            _warnings(fit),
            *_data(fit, shown),
            *_peaks(fit),
            _certainty(fit, landscape),
            _systematics(fit),
            _posterior(fit),
            _residuals(fit, shown) if shown else "",
            _surrogate(fit),
            _baseline(fit, facts),
            _assumed(fit, facts),
            _made(fit, facts),
        ]
    title = f"{fit.description.get('model', 'model')}: fit of {', '.join(words.data_names(fit))}"
    return write(path, _page(title, sections).encode())


def _page(title: str, sections: Iterable[str]) -> str:
    css = importlib.resources.files("insiren.report").joinpath("page.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def _header(fit: Fit, facts: Mapping[str, Any]) -> str:
    date = facts.get("date") or f"{datetime.date.today():%d %B %Y}".lstrip("0")
    names = ", ".join(words.data_names(fit))
    return (
        '<header>\n<p class="kind">insiren · spin Hamiltonian from a measured spectrum</p>\n'
        f"<h1>{escape(str(fit.description.get('model', 'model')))}</h1>\n"
        f'<p class="about">Fit of {escape(names)} · {escape(str(date))}</p>\n</header>'
    )


def _parameters(fit: Fit) -> str:
    bounded = {p.name: p for p in fit.parameters}
    known = {p.name: p for one in fit.problem.sources for p in one.parameters}
    numbered = [(p, name) for p in known.values() for name in fit.values if name.partition("[")[0] == p.name]
    declared = [bounded.get(name, dataclasses.replace(p, name=name)) for p, name in numbered]
    rows = [_parameter(fit, p) for p in sorted(declared, key=lambda p: p.name not in bounded)]
    head = "".join(f'<th scope="col">{t}</th>' for t in ("Parameter", "Value ± error", "Unit", "", "Bounds"))
    return (
        '<section aria-label="Parameters">\n<div class="scroll"><table class="parameters">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>\n</table></div>\n"
        f'<p class="lead">{escape(words.headline(fit))}</p>\n</section>'
    )


def _parameter(fit: Fit, p: Parameter) -> str:
    value, error = words.rounded(fit.values[p.name], fit.errors[p.name])
    state = words.status(fit, p.name)
    free = p.name in fit.names
    error = f" <small>± {error}</small>" if error else ""
    name = f"<code>{escape(p.name)}</code>" if p.label and p.label != p.name else ""
    kind = {"free": "free", "at bound": "edge", "not determined": "edge"}.get(state, "")
    return (
        f'<tr{"" if free else " class=still"}><th scope="row">{symbol(p)}{name}</th>'
        f'<td class="value">{value}{error}</td><td>{escape(p.unit)}</td>'
        f'<td><span class="state {kind}">{escape(state)}</span></td><td>{_bounds(fit, p) if free else ""}</td></tr>\n'
    )


def _bounds(fit: Fit, p: Parameter) -> str:
    """The bounds of a parameter with its place between them."""
    low, high = (f"{x:g}".replace("-", "−") for x in (p.min, p.max))
    place = 100 * (fit.values[p.name] - p.min) / (p.max - p.min)
    return (
        f'<div class="bounds"><span>{low}</span><div class="track" aria-hidden="true">'
        f'<i style="left:{min(100.0, max(0.0, place)):.1f}%"></i></div><span>{high}</span></div>'
    )


def symbol(p: Parameter) -> str:
    r"""A parameter as HTML, from a TeX label as simple as `J_p` or `q_{\mathrm{fwhm}}`, else its name."""
    text = re.sub(r"\\(?:mathrm|text|rm)\s*\{([^{}]*)\}", r"\1", (p.label or p.name).strip("$"))
    found = re.fullmatch(r"([A-Za-z]\w*?|\\\w+)(?:_(?:\{([^{}\\]+)\}|(\w)))?('*)", text)
    if found is None or found[1].startswith("\\") or (found[2] is None and found[3] is None and "_" in text):
        return f'<span class="symbol">{escape(p.name)}</span>'
    below = found[2] or found[3]
    below = f"<sub>{escape(below)}</sub>" if below else ""
    return f'<span class="symbol"><i>{escape(found[1] + found[4])}</i>{below}</span>'


def _warnings(fit: Fit) -> str:
    said = fit.remarks()
    if not said:
        return ""
    return f'<aside class="warnings">\n<h2>Before quoting these numbers</h2>\n{_list(said)}\n</aside>'


def _data(fit: Fit, shown: list[Spectrum]) -> Iterable[str]:
    for one in shown:
        figures = _images(fit, one) if one.is_image else _points(one)
        yield f"<section>\n<h2>{escape(one.name)}</h2>\n{figures}</section>"


def _peaks(fit: Fit) -> Iterable[str]:
    for name, listed in by_list(fit.peaks if isinstance(fit, PeakFit) else ()).items():
        drawn = _figure(
            look.embedded(peak_plot(listed)),
            f"{name}: observed peaks and calculated modes, peak by peak",
            "Above: observed energies with their σ, and as dashes the modes that they were assigned to. Below: what is "
            "left over, in σ.",
            wide=True,
        )
        head = ("Q (r.l.u.)", "Observed (meV)", "Mode (meV)", "Mode number", "Off by (σ)")
        yield f"<section>\n<h2>{escape(name)}</h2>\n{drawn}{_table(head, peak_rows(listed))}\n</section>"


def _images(fit: Fit, one: Spectrum) -> str:
    named, bands = named_points(fit), dispersion(fit, one.hkl)
    caption = f"Intensity in the unit of the data, one scale for all three. {_taken_off(fit)}"
    caption += "Grey: not measured, or left out."
    if one.masked is not None:
        caption += " Hatched: left out by a mask."
    if bands is not None:
        caption += " Lines: dispersion at the best parameters, fainter where a mode carries little weight."
    return _figure(
        look.embedded(maps(one, bands, named)),
        f"{one.name}: maps of data, model and their difference over wavevector and energy",
        caption,
        wide=True,
    ) + _figure(
        look.embedded(cuts(one, named)),
        f"{one.name}: cuts at constant energy and at constant wavevector",
        "Above: cuts at constant energy. Below: at constant wavevector. Each is the mean over a few rows or "
        "columns, data, model and background alike; error bars are 1 σ.",
        wide=True,
    )


def _points(one: Spectrum) -> str:
    return _figure(
        look.embedded(point_plot(one)),
        f"{one.name}: data and model, point by point",
        "Intensity of every point with its error bar, and the model with its background.",
        wide=True,
    )


def _taken_off(fit: Fit) -> str:
    if fit.background == "none":
        return ""
    return "The background is subtracted from data and model so that the ridge is visible. "


def _certainty(fit: Fit, over: Landscape | None) -> str:
    said = fit.identifiability()
    drawn = _landscape(fit, over) if over is not None else ""
    return (
        f'<section>\n<h2>How certain it is</h2>\n<div class="pair">\n{drawn}<div>\n'
        f"<h3>Correlation of the free parameters</h3>\n{_correlation(fit)}\n"
        f"{_list(said, 'found') if said else ''}</div>\n</div>\n</section>"
    )


def _systematics(fit: Fit) -> str:
    if fit.systematics is None:
        return ""
    head, rows = certainty.shifts(fit)
    skipped = _list(fit.systematics.skipped) if fit.systematics.skipped else ""
    return (
        "<section>\n<h2>What each choice moves</h2>\n"
        f"<p>{escape(words.quoted(fit))}</p>\n{_table(head, rows)}\n"
        f"<p>{escape(certainty.rule())}</p>\n{skipped}</section>"
    )


def _posterior(fit: Fit) -> str:
    if fit.posterior is None:
        return ""
    head, rows = certainty.quantiles(fit)
    doubts = _list(fit.posterior.doubts) if fit.posterior.doubts else ""
    return (
        f"<section>\n<h2>Posterior</h2>\n<p>{escape(certainty.sampled(fit))}</p>\n"
        f"{_table(head, rows)}\n{doubts}</section>"
    )


def _landscape(fit: Fit, over: Landscape) -> str:
    caption = (
        "White: Δχ²/noise = 2.30, 6.18 and 11.83, the joint 1, 2 and 3 σ of two parameters (Press et al., Numerical "
        f"Recipes), the others {'minimised' if over.minimised else 'held'}. Red: the 1 σ ellipse of the covariance, "
        "the others free."
        if over.levels
        else "The Pearson objective itself: it has no σ, so its contours are even steps. Red: the joint 1 σ ellipse of "
        "the covariance."
    )
    if held := ", ".join(f"{name} = {value:.4g}" for name, value in over.held.items()):
        caption += f" Held: {held}."
    return _figure(
        look.embedded(charts.landscape(fit, over)), f"Objective over {over.x} and {over.y} with its contours", caption
    )


def _correlation(fit: Fit) -> str:
    symbols = [symbol(p) for p in fit.parameters]
    head = "".join(f'<th scope="col">{s}</th>' for s in symbols)
    rows = []
    for name, row, edge in zip(symbols, fit.correlation, fit.at_bound, strict=True):
        cells = []
        for r, other in zip(row, fit.at_bound, strict=True):
            known, none = math.isfinite(r), "at bound" if edge or other else "no effect"
            tint = f"rgba(var(--{'plus' if r > 0 else 'minus'}), {0.5 * min(1, abs(r)):.2f})" if known else "none"
            cells.append(f'<td style="background:{tint}">{f"{r:+.2f}".replace("-", "−") if known else none}</td>')
        rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    return f'<div class="scroll"><table class="matrix"><tr><td></td>{head}</tr>\n' + "\n".join(rows) + "</table></div>"


def _residuals(fit: Fit, shown: list[Spectrum]) -> str:
    parts = ['<section>\n<h2>What is left over</h2>\n<div class="pair">']
    spread = "; ".join(
        f"{s.name}: mean {r.mean():+.2f}, spread {r.std():.2f}, {100 * (abs(r) > 3).mean():.1f} % beyond 3 σ"
        for s in shown
        if len(r := charts.normalised(s))
    ).replace(" -", " −")
    parts.append(
        _figure(
            look.embedded(charts.residuals(shown)),
            "Distribution of the residuals in σ beside the unit Gaussian",
            f"Residuals in σ; the last bins hold all beyond. {spread}.",
        )
    )
    if (drawn := charts.backgrounds(fit)) is not None:
        scales = ", ".join(f"{m.measured.name} {float(m.profile.scale):.4g}" for m in fit.maps)
        parts.append(
            _figure(
                look.embedded(drawn),
                "Fitted background over energy for every data set",
                f"Background of each energy, eliminated with the scale of each data set ({scales}).",
            )
        )
    return "\n".join(parts) + "\n</div>\n</section>"


def _surrogate(fit: Fit) -> str:
    check = fit.surrogate_check
    if not check:
        return ""
    units = {p.name: p.unit for p in fit.parameters}
    if "exact" not in check:
        return _stated(check["predicted"], fit, units)
    rows = []
    for name, value in check["exact"].items():
        error, shift = fit.errors.get(name), check.get("shift", {}).get(name, math.nan)
        off = f"{shift / error:+.2g}".replace("-", "−") if error else ""
        ours, theirs = (words.rounded(v, error)[0] for v in (fit.values[name], value))
        rows.append((f"{name} ({units[name]})" if units.get(name) else name, ours, theirs, off))
    said = (
        "A few steps of the exact simulator from the answer of the surrogate, and how far they go; the errors above "
        "include it."
    )
    if {"objective_surrogate", "objective_exact"} <= check.keys():
        said += (
            f" The objective there is {check['objective_surrogate']:.6g} for the surrogate and "
            f"{check['objective_exact']:.6g} for the exact simulator."
        )
    table = _table(("Parameter", "Surrogate", "Exact", "Shift in errors"), rows)
    return f"<section>\n<h2>Surrogate against exact simulator</h2>\n<p>{escape(said)}</p>\n{table}\n</section>"


def _stated(predicted: Mapping[str, float], fit: Fit, units: Mapping[str, str]) -> str:
    """What a surrogate without an exact simulator says of its own error."""
    rows = []
    for name, shift in predicted.items():
        error = fit.errors.get(name)
        part = f"{shift / error:.2g}" if error else ""
        rows.append((f"{name} ({units[name]})" if units.get(name) else name, f"{shift:.2g}", part))
    said = (
        "There is no exact simulator to compare this surrogate with. Its map of held-out errors says how far they may "
        "move the answer; the errors above include it."
    )
    table = _table(("Parameter", "Error from the surrogate", "Part of the error"), rows)
    return f"<section>\n<h2>Error of the surrogate</h2>\n<p>{escape(said)}</p>\n{table}\n</section>"


def _baseline(fit: Fit, facts: Mapping[str, Any]) -> str:
    other = facts.get("baseline")
    if not other:
        return ""
    units = {p.name: p.unit for p in fit.parameters}
    rows = []
    for name, entry in other["parameters"].items():
        if entry["fixed"] or name not in fit.names:
            continue
        error, value = fit.errors.get(name), float(entry["value"])
        off = f"{(value - fit.values[name]) / error:+.2g}".replace("-", "−") if error else ""
        label = f"{name} ({units[name]})" if units.get(name) else name
        rows.append((label, words.value_text(fit.values[name], error), words.rounded(value, error)[0], off))
    said = (
        f"The usual way: {other['n_peaks']} peaks picked from the maps, their modes by SpinW's rule, and a swarm of "
        f"{other['particles']} particles over {other['iterations']} iterations. Its R-value, the root of the mean "
        f"squared distance in σ, is {other['R']:.3g}. It gives no errors."
    )
    table = _table(("Parameter", "This fit", "Peaks and swarm", "Difference in errors"), rows)
    return f"<section>\n<h2>Beside it: peaks and a particle swarm</h2>\n<p>{escape(said)}</p>\n{table}\n</section>"


def _assumed(fit: Fit, facts: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"<dt>{escape(about)}</dt><dd>{''.join(f'<p>{escape(s)}</p>' for s in said)}</dd>"
        for about, said in words.assumptions(fit, facts)
    )
    return f"<section>\n<h2>What was assumed</h2>\n<dl>\n{rows}\n</dl>\n</section>"


def _made(fit: Fit, facts: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"<dt>{escape(what)}</dt><dd><p>{escape(which)}</p></dd>" for what, which in words.provenance(fit, facts)
    )
    return f"<section>\n<h2>How it was made</h2>\n<dl>\n{rows}\n</dl>\n</section>"


def _figure(picture: str, alt: str, caption: str, *, wide: bool = False) -> str:
    return (
        f"<figure{' class=wide' if wide else ''}>\n"
        f'<div class="picture"><img alt="{escape(alt)}" src="{picture}"></div>\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>\n"
    )


def _list(items: Iterable[str], kind: str = "") -> str:
    return f'<ul class="{kind}">' + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'
