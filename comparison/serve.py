"""How a code is run in a process of its own: once for its results, then once for every line it is sent.

    python run_CODE.py PROBLEM.npz RESULTS.npz

It needs numpy alone, since it runs in the environment of each code.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Results = dict[str, np.ndarray]


def serve(prepare: Callable[[Any], Callable[[], Any]], results: Callable[[Any, Any], Results]) -> None:
    """Computes, saves, says "ready", and from then on prints the CPU seconds that each further run took.

    Pinned to one core these are the seconds of a quiet machine, whatever else is running.

    Args:
        prepare: from the problem to what is timed; all that a code does once belongs here.
        results: from the problem and what was returned to the arrays that are saved.
    """
    problem = dict(np.load(sys.argv[1]))
    compute = prepare(problem)
    np.savez(sys.argv[2], **results(problem, compute()))
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.process_time()
        compute()
        print(time.process_time() - begin, flush=True)
