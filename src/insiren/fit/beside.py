"""Work that goes on beside the search, where two threads may use a Forward at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any


class Beside:
    """One thread for what is needed next; without it the work is done when its result is asked for.

    Args:
        parallel: whether there may be a thread.
    """

    def __init__(self, parallel: bool):
        self.executor: Executor | None = ThreadPoolExecutor(1) if parallel else None

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        if self.executor is not None:
            self.executor.shutdown(cancel_futures=True)

    def submit(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        """The result to come."""
        return _Later(function, given) if self.executor is None else self.executor.submit(function, *given)


class _Later(Future[Any]):
    """A result that is worked out when it is asked for."""

    def __init__(self, function: Callable[..., Any], given: tuple[Any, ...]):
        super().__init__()
        self.function, self.given = function, given

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            self.set_result(self.function(*self.given))
        return super().result(timeout)
