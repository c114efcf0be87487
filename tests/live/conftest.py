"""A directory that is counted into, and the folder of a run beside it."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def place(tmp_path):
    """Where files arrive, and where the run goes."""
    counts = tmp_path / "counts"
    counts.mkdir()
    return SimpleNamespace(counts=counts, run=tmp_path / "run")
