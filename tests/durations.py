"""How long each test takes, and how much of that is compiling: so that the suite cannot grow back.

A pytest plugin. Times of a test travel from the workers of xdist as user properties of its report.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

MOST = 5.0  # seconds of processor time without compiling, of a quick test
SHOWN = 10
_COMPILING = "/jax/core/compile/"


class Compiling:
    """Spans of time in which JAX traces, lowers or compiles; those of nested functions overlap."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self.listening = False

    def listen(self) -> None:
        """From now on, once JAX has been imported; `python -X importtime` shows what that costs a test without it."""
        if not self.listening and "jax" in sys.modules:
            sys.modules["jax"].monitoring.register_event_duration_secs_listener(self._note)
            self.listening = True

    def _note(self, event: str, seconds: float, **_: object) -> None:
        if event.startswith(_COMPILING):
            now = time.perf_counter()
            self.spans.append((now - seconds, now))

    def seconds(self) -> float:
        """How long the spans last together, each moment counted once."""
        total, end = 0.0, 0.0
        for start, stop in sorted(self.spans):
            total += max(0.0, stop - max(start, end))
            end = max(end, stop)
        return total


_compiling = Compiling()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _compiling.listen()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    _compiling.listen()
    _compiling.spans.clear()
    wall, processor = time.perf_counter(), time.process_time()
    try:
        return (yield)
    finally:
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        compiling = min(_compiling.seconds(), wall)
        item.user_properties.append(("seconds", (wall, compiling, min(wall, processor) - compiling)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if call.when == "call" and report.passed and "slow" not in item.keywords:
        _, _, own = dict(item.user_properties)["seconds"]
        if own > MOST:
            report.outcome = "failed"
            report.longrepr = (
                f"{item.nodeid} took {own:.1f} s of processor time without compiling; a quick test may take "
                f"{MOST:g} s. Make it smaller, share a fixture, or move what is statistics to `make studies`."
            )
    return report


def pytest_terminal_summary(terminalreporter, exitstatus, config) -> None:
    """The slowest tests, each with the share of compiling."""
    rows = sorted(
        (dict(report.user_properties)["seconds"], report.nodeid)
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, [])
        if "seconds" in dict(report.user_properties)
    )
    if len(rows) <= SHOWN:
        return
    terminalreporter.section("slowest tests: seconds, share of compiling")
    for (wall, compiling, _), name in reversed(rows[-SHOWN:]):
        terminalreporter.line(f"{wall:7.1f} {compiling / max(wall, 1e-9):4.0%}  {name}")
    wall, compiling = (sum(seconds[n] for seconds, _ in rows) for n in range(2))
    terminalreporter.line(f"{wall:7.1f} {compiling / max(wall, 1e-9):4.0%}  all {len(rows)} together")
