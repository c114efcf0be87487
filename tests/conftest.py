"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The first call of anything compiles, so that no deadline makes sense; fixed examples, so that a failure repeats.
settings.register_profile("insiren", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("insiren")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared references; once it is named, what is missing from it is a failure."""
    if "INSIREN_SHARED" not in os.environ:
        pytest.skip("INSIREN_SHARED is not set: it names the folder that holds the shared references")
    return Path(os.environ["INSIREN_SHARED"])
