"""insiren: spin Hamiltonians from measured excitation spectra.

The public names, in the order of the pipeline, load when first used. Some are called like
the stage they come from (`fit`, `simulate`, `forward`, `report`): here the name is the function;
the stage is reached by `from insiren.fit.optimise import ...`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    # errors
    "InsirenError": "errors",
    "ModelError": "errors",
    "UnstableStructure": "errors",
    "DataError": "errors",
    "SurrogateError": "errors",
    "OutsideDomain": "errors",
    "FitError": "errors",
    # the seam
    "Points": "forward",
    "Bins": "forward",
    "Parameter": "forward",
    "Forward": "forward",
    "forward": "forward",
    # what is in the crystal, and what it would scatter
    "Model": "model.spec",
    "load_model": "model.spec",
    "allowed_form": "model.crystal",
    "minimise_energy": "model.ground",
    "bands": "simulate.intensity",
    "exact": "instrument.exact",
    "simulate": "data.simulated",
    # what was measured
    "read": "data.files",
    "write": "data.files",
    "fetch": "data.fetch",
    "image": "data.spectrum",
    "count": "data.counts",
    "subset": "data.subset",
    # fast
    "Surrogate": "surrogate.surrogate",
    "Region": "surrogate.region",
    "Recipe": "surrogate.training",
    "train": "surrogate.training",
    "Samples": "surrogate.samples",
    "samples": "surrogate.samples",
    "sample": "surrogate.fanout",
    "read_samples": "surrogate.samplefile",
    "train_on": "surrogate.taught",
    "load_surrogate": "surrogate.store",
    "save_surrogate": "surrogate.store",
    # which Hamiltonian
    "Fit": "fit.result",
    "fit": "fit.optimise",
    "picked": "data.picking",
    "baseline": "fit.swarm",
    "Baseline": "fit.swarm",
    "PeakFit": "fit.peak_fit",
    "landscape": "fit.landscape",
    "compare": "fit.compare",
    "profile_likelihood": "fit.likelihood_profile",
    "posterior": "fit.posterior",
    "systematics": "fit.systematics",
    # on paper
    "report": "report",
    "save_fit": "report",
    "load_fit": "report",
}
__all__ = list(_PUBLIC)


class _Package(ModuleType):
    """Keeps a public name from being overwritten by the submodule of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in _PUBLIC:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
        super().__setattr__(name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_PUBLIC})


sys.modules[__name__].__class__ = _Package

if TYPE_CHECKING:
    from insiren.data.counts import count as count
    from insiren.data.fetch import fetch as fetch
    from insiren.data.files import read as read
    from insiren.data.files import write as write
    from insiren.data.picking import picked as picked
    from insiren.data.simulated import simulate as simulate
    from insiren.data.spectrum import image as image
    from insiren.data.subset import subset as subset
    from insiren.errors import (
        DataError as DataError,
    )
    from insiren.errors import (
        FitError as FitError,
    )
    from insiren.errors import (
        InsirenError as InsirenError,
    )
    from insiren.errors import (
        ModelError as ModelError,
    )
    from insiren.errors import (
        OutsideDomain as OutsideDomain,
    )
    from insiren.errors import (
        SurrogateError as SurrogateError,
    )
    from insiren.errors import (
        UnstableStructure as UnstableStructure,
    )
    from insiren.fit.compare import compare as compare
    from insiren.fit.landscape import landscape as landscape
    from insiren.fit.likelihood_profile import profile_likelihood as profile_likelihood
    from insiren.fit.optimise import fit as fit
    from insiren.fit.peak_fit import PeakFit as PeakFit
    from insiren.fit.posterior import posterior as posterior
    from insiren.fit.result import Fit as Fit
    from insiren.fit.swarm import Baseline as Baseline
    from insiren.fit.swarm import baseline as baseline
    from insiren.fit.systematics import systematics as systematics
    from insiren.forward import Bins as Bins
    from insiren.forward import Forward as Forward
    from insiren.forward import Parameter as Parameter
    from insiren.forward import Points as Points
    from insiren.forward import forward as forward
    from insiren.instrument.exact import exact as exact
    from insiren.model.crystal import allowed_form as allowed_form
    from insiren.model.ground import minimise_energy as minimise_energy
    from insiren.model.spec import Model as Model
    from insiren.model.spec import load_model as load_model
    from insiren.report import load_fit as load_fit
    from insiren.report import report as report
    from insiren.report import save_fit as save_fit
    from insiren.simulate.intensity import bands as bands
    from insiren.surrogate.fanout import sample as sample
    from insiren.surrogate.region import Region as Region
    from insiren.surrogate.samplefile import read_samples as read_samples
    from insiren.surrogate.samples import Samples as Samples
    from insiren.surrogate.samples import samples as samples
    from insiren.surrogate.store import load_surrogate as load_surrogate
    from insiren.surrogate.store import save_surrogate as save_surrogate
    from insiren.surrogate.surrogate import Surrogate as Surrogate
    from insiren.surrogate.taught import train_on as train_on
    from insiren.surrogate.training import Recipe as Recipe
    from insiren.surrogate.training import train as train
