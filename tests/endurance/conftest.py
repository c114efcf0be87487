"""Campaigns too long for every change; `make studies` runs them. Their helpers are those of the short tests."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("data", "live", "surrogate")]
