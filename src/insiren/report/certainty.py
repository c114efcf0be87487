"""Tables of systematic shifts and of the posterior, as plain text."""

from __future__ import annotations

from insiren.fit.result import Fit
from insiren.fit.systematics import RULE
from insiren.report.words import rounded

_SHOWN = {"0.025": 0.025, "0.16": 0.16, "0.5": 0.5, "0.84": 0.84, "0.975": 0.975}


def rule() -> str:
    """How the shifts become one number."""
    return f"The fit was repeated from the answer with one thing made otherwise at a time. {RULE}"


def shifts(fit: Fit) -> tuple[list[str], list[list[str]]]:
    """The table of variants: head and rows; a last row for each kind, and the total."""
    table = fit.systematics
    assert table is not None
    units = {p.name: f" ({p.unit})" if p.unit else "" for p in fit.parameters}
    head = ["Choice", "Made otherwise", *(f"Shift of {name}{units[name]}" for name in fit.names)]
    rows = []
    for kind, errors in table.by_kind.items():
        for row in (r for r in table.rows if r.kind == kind):
            cells = []
            for name in fit.names:
                sigmas = row.sigmas[name]
                inside = "" if sigmas is None else f" ({_signed(sigmas, '.1f')} σ)"
                cells.append(f"{_signed(row.shift[name], '.3g')}{inside}")
            rows.append([kind, row.what, *cells])
        rows.append([kind, "counts as", *(f"± {errors[name]:.2g}" for name in fit.names)])
    rows.append(
        ["all", "largest misfit and choices in quadrature", *(f"± {table.total[name]:.2g}" for name in fit.names)]
    )
    return head, rows


def sampled(fit: Fit) -> str:
    """How the posterior was sampled, and what its diagnostics say."""
    drawn = fit.posterior
    assert drawn is not None
    found = drawn.diagnostics
    if drawn.method == "nuts":
        how = f"No-U-Turn sampler, {len(drawn.samples)} samples: R-hat {found['rhat']:.3f}"
    else:
        how = (
            f"{len(drawn.samples)} samples of a Student t around the answer, weighted: Pareto k {found['pareto_k']:.2f}"
        )
    return f"{how}, {found['ess']:.0f} effective samples. Flat prior within the bounds."


def quantiles(fit: Fit) -> tuple[list[str], list[list[str]]]:
    """The table of quantiles: head and rows."""
    drawn = fit.posterior
    assert drawn is not None
    rows = []
    for name, sd in zip(drawn.names, drawn.covariance.diagonal() ** 0.5, strict=True):
        rows.append([name, *(rounded(drawn.quantile(name, at), float(sd))[0] for at in _SHOWN.values())])
    return ["Parameter", *(f"{100 * at:g} %" for at in _SHOWN.values())], rows


def _signed(value: float, form: str) -> str:
    return f"{value:+{form}}".replace("-", "−")
