"""The sentences and rounded numbers of a report, as plain text."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from collections.abc import Mapping
from typing import Any

import insiren
from insiren.fit.peak_fit import PeakFit
from insiren.fit.result import Fit

_OBJECTIVES = {
    "gaussian": "Gaussian: χ² with the σ of the data",
    "poisson": "Poisson: likelihood of the neutron counts, variances from the model",
    "pearson": "Pearson: 1 − r between log(1 + S) and log(1 + max(I, 0)) over all pixels; it has no σ of its own, "
    "so the residual sets the errors. Chitturi et al., Nat. Commun. 14, 5852 (2023)",
}
_BACKGROUNDS = {
    "per-energy": "one free value for each energy and data set, eliminated by linear least squares",
    "constant": "one free value for each data set, eliminated by linear least squares",
    "smooth": "a smooth function of the energy for each data set, as stiff as the evidence asks, eliminated",
    "lowrank": "a smooth function of Q and the energy for each data set, as stiff as the evidence asks, eliminated",
    "savgol": "smoothed mean of quiet wavevectors, subtracted before the fit "
    "(Savitzky–Golay; Chitturi et al., Nat. Commun. 14, 5852 (2023))",
    "none": "none",
}
_CORRELATIONS = {
    "trace": "Sxx + Syy + Szz (trace: no polarisation factor)",
    "perp": "components perpendicular to Q (polarisation factor δ − Q̂Q̂)",
}
_PACKAGES = ("jax", "scipp", "numpy")


def rounded(value: float, error: float | None) -> tuple[str, str]:
    """A value and its error in text, both to the second digit of the error; "" for no error."""
    if error is None or not math.isfinite(error) or error <= 0:
        return _signed(f"{value:.6g}"), ""
    size = float(f"{error:.1e}")  # rounding may carry: 0.0996 is 0.10
    places = max(0, 1 - math.floor(math.log10(size)))
    return _signed(f"{value:.{places}f}"), f"{size:.{places}f}"


def value_text(value: float, error: float | None) -> str:
    """A value with its error, if it has one, as in "29.779 ± 0.030"."""
    return " ± ".join(part for part in rounded(value, error) if part)


def _signed(number: str) -> str:
    return number.replace("-", "−")


def quoted(fit: Fit) -> str:
    """Every parameter with its error, and with its systematic error where that was asked for."""
    units = {p.name: f" {p.unit}" if p.unit else "" for p in fit.parameters}
    said = []
    for name in (n for n in fit.names if n not in fit.undetermined):
        text = value_text(fit.values[name], fit.errors[name])
        if fit.systematics is not None:
            statistical = " (statistical)" if fit.errors[name] else ""
            text += f"{statistical} ± {fit.systematics.total[name]:.2g} (systematic)"
        said.append(f"{name} = {text}{units[name]}")
    said += [f"{name} not determined" for name in fit.names if name in fit.undetermined]
    return _listed(said)


def headline(fit: Fit) -> str:
    """The answer in one sentence or two."""
    names = data_names(fit)
    sets = f"{len(names)} data sets" if len(names) > 1 else f"the data set {', '.join(names)}"
    quality = f"; χ² per degree of freedom is {fit.chi2_reduced:.3g}" if fit.chi2_reduced is not None else ""
    return f"{quoted(fit)}, from {counted(fit)} of {sets}{quality}."


def data_names(fit: Fit) -> list[str]:
    """The names of the data sets of a fit, lists of peaks last."""
    peaks = fit.peaks if isinstance(fit, PeakFit) else ()
    return [m.measured.name for m in fit.maps] + list(dict.fromkeys(peak.data for peak in peaks))


def counted(fit: Fit) -> str:
    """How many pixels and peaks entered a fit."""
    peaks = len(fit.peaks) if isinstance(fit, PeakFit) else 0
    pixels = fit.n_data - peaks
    return " and ".join(f"{grouped(n)} {what}" for n, what in ((pixels, "pixels"), (peaks, "peaks")) if n)


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), *parts[-1:]] if len(parts) > 1 else parts)


def grouped(number: int) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def status(fit: Fit, name: str) -> str:
    """Whether a parameter is free, at a bound, fixed or tied, or not determined whichever it is."""
    if name in fit.undetermined:
        return "not determined"
    if name in fit.names:
        return "at bound" if fit.at_bound[fit.names.index(name)] else "free"
    return f"tied: {dict(fit.ties)[name]}" if name in dict(fit.ties) else "fixed"


def assumptions(fit: Fit, facts: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """What was taken for granted: (about what, sentences)."""
    said = fit.description
    scattering = dict(said.get("scattering") or {})
    correlation = scattering.pop("correlation", None)
    rows = [
        ("Hamiltonian", [said.get("hamiltonian")]),
        (
            "Scattering",
            [
                f"Correlation: {_CORRELATIONS.get(str(correlation), correlation)}" if correlation else None,
                *_each(scattering),
            ],
        ),
        ("Energy resolution", [said.get("resolution")]),
        ("Q broadening", _each(said.get("quadrature") or {})),
        ("Objective", [_OBJECTIVES.get(fit.objective, fit.objective), _noise(fit)]),
        ("Weights", [_chosen(fit, "weights")]),
        (
            "Background",
            [_BACKGROUNDS.get(fit.background.partition(":")[0], fit.background), _chosen(fit, "background")],
        ),
        ("Legs", [_chosen(fit, "legs")]),
        (
            "Scale",
            [f"{m.measured.name}: {float(m.profile.scale):.5g} (data unit per unit of S(Q, ω))" for m in fit.maps],
        ),
        ("Pixels and σ", [_pixels(m.measured) for m in fit.maps]),
        ("Reading the data", _read(facts.get("assumed"))),
    ]
    return [(about, [s for s in sentences if s]) for about, sentences in rows if any(sentences)]


def _noise(fit: Fit) -> str | None:
    if fit.objective == "pearson" or fit.noise <= 1:
        return None
    return f"Covariance multiplied by {fit.noise:.3g}, the χ² per degree of freedom: the misfit exceeds the quoted σ"


def _chosen(fit: Fit, what: str) -> str | None:
    """What the data chose where the user left it open, and why."""
    entry = fit.choices.get(what, {})
    if not entry or entry["asked"] or not entry["chosen"]:
        return None
    why = "; ".join(entry["why"].values()) if isinstance(entry["why"], dict) else entry["why"]
    chosen = "each leg of a path for itself" if what == "legs" else entry["chosen"]
    return f"Chosen by the data: {chosen}, for {why}"


def _pixels(measured: Any) -> str:
    said = [f"{measured.name}: {grouped(int(measured.used.sum()))} pixels used, {grouped(measured.n_masked)} left out"]
    if measured.sigma_floor:
        said.append(f"σ below {measured.sigma_floor:g} raised to it")
    if measured.sigma_max:
        said.append(f"pixels with σ above {measured.sigma_max:g} left out")
    return "; ".join(said)


def _read(assumed: Any) -> list[str]:
    """What the readers assumed, as text, a sequence, or either by data set."""
    match assumed:
        case None:
            return []
        case str():
            return assumed.splitlines()
        case Mapping():
            return [f"{name}: {line}" for name, lines in assumed.items() for line in _read(lines)]
    return [line for item in assumed for line in _read(item)]


def _each(mapping: Mapping[str, Any]) -> list[str]:
    return [f"{key.replace('_', ' ')}: {plain(value)}" for key, value in mapping.items()]


def plain(value: Any) -> str:
    """Any value of JSON as text for people."""
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return "none"
        case float():
            return f"{value:.5g}"
        case Mapping():
            return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
        case list() | tuple() if value and isinstance(value[0], list | tuple):
            return ", ".join(f"({plain(item)})" for item in value)
        case list() | tuple():
            return ", ".join(plain(item) for item in value)
    return str(value)


def provenance(fit: Fit, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Versions, starts, seeds and timings: (what, which)."""
    n, agree = fit.starts
    rows = [("insiren", insiren.__version__), ("Python", platform.python_version())]
    rows += [(name, importlib.metadata.version(name)) for name in _PACKAGES]
    rows.append(("Forward", plain(fit.description.get("forward"))))
    if digest := fit.description.get("digest"):
        rows.append(("Model digest", plain(digest)))
    rows.append(("Raw starts", f"{agree} of {n} descend to this minimum"))
    if fit.signal is not None:
        rows.append(("Signal", f"{fit.signal.sigma:.3g} σ against no magnon at all"))
    if fit.search is not None:
        rows.append(("Points of the box", f"{fit.search['points']:,}, in two independent searches"))
    # The ends of every descent of a preset belong in the JSON.
    settings = {k: v for k, v in fit.settings.items() if v is not None and not isinstance(v, list)}
    for key, value in {**settings, **facts}.items():
        if key == "seconds" and isinstance(value, Mapping):
            rows += [
                (f"Time to {stage}" if stage != "errors" else "Time for errors", f"{float(s):.3g} s")
                for stage, s in value.items()
            ]
        elif key not in ("assumed", "date", "baseline"):
            rows.append((key.replace("_", " ").capitalize(), plain(value)))
    return rows
