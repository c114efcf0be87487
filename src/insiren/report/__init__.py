"""One self-contained page of a fit, its figures, and its JSON on disk."""

from insiren.report.charts import landscape_figure
from insiren.report.page import report
from insiren.report.saved import SavedFit, load_fit, save_fit
from insiren.report.spectra import spectra_figure, spectrum_figure
from insiren.report.words import value_text

__all__ = [
    "SavedFit",
    "landscape_figure",
    "load_fit",
    "report",
    "save_fit",
    "spectra_figure",
    "spectrum_figure",
    "value_text",
]
