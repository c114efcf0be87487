"""What the tests of measured data share."""

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared measurements; once it is named, what is missing from it is a failure."""
    if "INSIREN_SHARED" not in os.environ:
        pytest.skip("INSIREN_SHARED is not set: it names the folder that holds the shared measurements")
    return Path(os.environ["INSIREN_SHARED"])


@pytest.fixture(scope="session")
def la2nio4(shared: Path) -> Path:
    """The paper's CSV folder."""
    return shared / "data" / "la2nio4"


@pytest.fixture
def folder(la2nio4: Path, tmp_path: Path) -> Path:
    """A copy of the paper's CSV folder that a test may damage."""
    copy = tmp_path / "la2nio4"
    copy.mkdir()
    for file in la2nio4.glob("*.csv"):
        shutil.copyfile(file, copy / file.name)
    return copy
