"""How long each test takes, and how much of that is compiling: so that the suite cannot grow back.

A pytest plugin. Times of a test travel from the workers of xdist as user properties of its report.
"""

from __future__ import annotations

import contextlib
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


@contextlib.contextmanager
def _timed(item: pytest.Item, phase: str) -> Iterator[None]:
    """Notes the seconds of a phase of a test, those of compiling, and those of the processor without compiling."""
    _compiling.listen()
    _compiling.spans.clear()
    wall, processor = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        compiling = min(_compiling.seconds(), wall)
        item.user_properties.append((phase, (wall, compiling, max(0.0, min(wall, processor) - compiling))))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with _timed(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with _timed(item, "call"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if call.when == "call" and report.passed and "slow" not in item.keywords:
        _, _, own = dict(item.user_properties)["call"]
        if own > MOST:
            report.outcome = "failed"
            report.longrepr = (
                f"{item.nodeid} took {own:.1f} s of processor time without compiling; a quick test may take "
                f"{MOST:g} s. Make it smaller, share a fixture, or move what is statistics to `make studies`."
            )
    return report


def pytest_terminal_summary(terminalreporter, exitstatus, config) -> None:
    """The slowest tests with the fixtures they were the first to ask for, each with the share of compiling."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    phases = [(dict(report.user_properties), report.nodeid) for report in reports if report.when == "call"]
    rows = sorted(
        (tuple(sum(times[phase][n] for phase in ("setup", "call")) for n in range(3)), name) for times, name in phases
    )
    if len(rows) <= SHOWN:
        return
    terminalreporter.section("slowest tests: seconds, share of compiling")
    for (wall, compiling, _), name in reversed(rows[-SHOWN:]):
        terminalreporter.line(f"{wall:7.1f} {compiling / max(wall, 1e-9):4.0%}  {name}")
    near = sorted(((times["call"][2], name) for times, name in phases if times["call"][2] > MOST / 2), reverse=True)
    for own, name in near[:SHOWN]:
        terminalreporter.line(f"{own:7.1f} s of the processor without compiling  {name}")
    wall, compiling = (sum(seconds[n] for seconds, _ in rows) for n in range(2))
    terminalreporter.line(f"{wall:7.1f} {compiling / max(wall, 1e-9):4.0%}  all {len(rows)} together")
