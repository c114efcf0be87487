"""The loop of every training: strides, until the schedule, the time or the wanted error is reached.

A schedule runs from share 0 to share 1, and the learning rate follows the share. With a number of
steps each stride moves the share by its part of them, so that a resumed training repeats the
uninterrupted one. With a time budget each stride moves it by its part of the time that is left:
the rate has decayed when the time is up, however fast the machine turns out to be.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

import jax

from insiren.surrogate.surrogate import Surrogate


class State(Protocol):
    """All that changes in a training: arrays, of which the loop looks at two."""

    @property
    def step(self) -> Any: ...
    @property
    def share(self) -> Any: ...


class Training(Protocol):
    """What the loop trains, and a checkpoint belongs to."""

    @property
    def steps(self) -> int:
        """Of the whole schedule, where no time is given."""
        ...

    @property
    def stride(self) -> int:
        """Steps between two looks at clock and error."""
        ...

    def start(self) -> Any:
        """The state before the first step."""
        ...

    def advance(self, state: Any, count: int, share: float) -> Any:
        """The state after so many steps, in which the schedule moves on to this share."""
        ...

    def error(self, state: Any) -> float:
        """Root mean square error of log(1 + c S) on points that are never trained on."""
        ...

    def surrogate(self, state: Any, seconds: float) -> Surrogate:
        """What has been learnt in so many seconds, its held-out errors measured."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint must agree with, as JSON would have it."""
        ...


@dataclasses.dataclass(frozen=True)
class Budget:
    """When to stop before the recipe's steps are done.

    Attributes:
        seconds: of simulation and training, those before a resumption included; None for the recipe's steps.
        target: held-out error of log(1 + c S) that is small enough.
        spent: seconds before a resumption.
        clock: in seconds.
    """

    seconds: float | None = None
    target: float | None = None
    spent: float = 0.0
    clock: Callable[[], float] = time.perf_counter


Progress = Callable[[int, int, float], None]  # (step, steps in all, held-out error of log(1 + c S))


def learn(
    training: Training,
    progress: Progress = lambda step, steps, error: None,
    state: Any = None,
    checkpoint: Callable[[Any], None] = lambda state: None,
    budget: Budget = Budget(),
) -> Surrogate:
    """Trains to the end, from the start or from where an interrupted training stood.

    Args:
        training: what to train.
        progress: told step, steps (expected, with a time budget) and held-out error after each stride.
        state: of an interrupted training.
        checkpoint: given the state after each stride.
        budget: of time, and the error that is small enough.
    """
    began = budget.clock() - budget.spent
    if state is None:
        state = jax.block_until_ready(training.start())
    spans: list[float] = []
    while float(state.share) < 1:
        step, share, begin = int(state.step), float(state.share), budget.clock()
        if budget.seconds is None:
            count = min(training.stride, training.steps - step)
            aim = (step + count) / training.steps
        else:
            count, aim = training.stride, _aim(share, began + budget.seconds - begin, spans)
        state = jax.block_until_ready(training.advance(state, count, aim))
        error = training.error(state)
        progress(step + count, round((step + count) / aim), error)
        checkpoint(state)
        spans.append(budget.clock() - begin)
        if budget.target is not None and error <= budget.target:
            break
    return training.surrogate(state, budget.clock() - began)


def _aim(share: float, left: float, spans: list[float]) -> float:
    """The share at the end of the next stride, when each of those to come takes as long as the last one.

    The first one compiles and says nothing about the others: an even part of a hundred until there are two.
    """
    to_come = round(left / spans[-1]) if spans else 100
    if to_come <= 1:
        return 1.0
    return share + (1 - share) / (to_come if len(spans) > 1 else max(to_come, 100))
