"""What all tests share."""

import gc
import os
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

from insiren.cache import default_folder, processor

# Nearly all the time of these tests is compiling, so that they keep what they compiled, where insiren does, and their
# child processes too, whatever home these are given. Set before JAX is imported; whoever sets it is left alone.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(default_folder() / processor()))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

pytest_plugins = ["durations"]

# The first call of anything compiles, so that no deadline makes sense; fixed examples, so that a failure repeats.
settings.register_profile("insiren", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("insiren")

# A shell makes what it starts in the background ignore Ctrl-C, and its children would too; some tests press it.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left with one at the end."""
    slow = {item.path for item in items if "slow" in item.keywords}
    items.sort(key=lambda item: item.path not in slow)


MOST_MAPS = 30_000  # memory maps of a process; systems allow 65,530, and every compiled function takes some hundred


@pytest.fixture(scope="module", autouse=True)
def few_maps():
    """Forgets what was compiled where it takes many maps, so that one process may run any number of modules."""
    yield
    maps = Path("/proc/self/maps")
    if "jax" in sys.modules and maps.exists() and maps.read_text().count("\n") > MOST_MAPS:
        sys.modules["jax"].clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared references; once it is named, what is missing from it is a failure."""
    if "INSIREN_SHARED" not in os.environ:
        pytest.skip("INSIREN_SHARED is not set: it names the folder that holds the shared references")
    return Path(os.environ["INSIREN_SHARED"])


@pytest.fixture
def place(tmp_path) -> SimpleNamespace:
    """Where the files of a live run arrive, and where the run goes."""
    (tmp_path / "counts").mkdir()
    return SimpleNamespace(counts=tmp_path / "counts", run=tmp_path / "run")
