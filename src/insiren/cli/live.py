"""Commands for a measurement that is still being counted: live, and replay, which stands in for an instrument."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from insiren.cli.answer import (
    Background,
    Bound,
    Each,
    Fix,
    Free,
    Objective,
    Range,
    Refine,
    Robust,
    SigmaFloor,
    SigmaMax,
    Starts,
    Tie,
    Weights,
    Wishes,
    asked_of,
)
from insiren.cli.hints import hinted
from insiren.cli.page import Host, Token
from insiren.cli.session import (
    DataNames,
    ForwardName,
    Json,
    Mask,
    Seed,
    Timer,
    UsageError,
    check_file,
    facts,
    masks_of,
    numbers,
    read_all,
    say,
    spans_of,
    write_json,
)

_SETTLING = 0.2  # s between the two looks of --once, within which a file that is being written grows


@hinted
def live(
    forward: ForwardName,
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Where files of counts arrive.")],
    out: Annotated[Path, typer.Option("--out", help="The folder of the run; one of the same run is continued.")],
    serve: Annotated[int | None, typer.Option("--serve", metavar="PORT", help="Show the run as a local page.")] = None,
    host: Host = "127.0.0.1",
    token: Token = None,
    target: Annotated[
        list[str], typer.Option("--target", metavar="NAME=ERROR", help="Half-width of an interval that is wanted.")
    ] = [],  # noqa: B006
    confidence: Annotated[float, typer.Option("--confidence", help="Of the intervals of --target.")] = 0.68,
    decide: Annotated[
        list[str], typer.Option("--decide", metavar="NAME=VALUE", help="Count until this value is right or wrong.")
    ] = [],  # noqa: B006
    odds: Annotated[float, typer.Option("--odds", help="Odds of --decide that are wanted.")] = 20.0,
    once: Annotated[bool, typer.Option("--once", help="Fold and fit what is there, and end.")] = False,
    incremental: Annotated[
        bool,
        typer.Option(
            "--incremental", help="Files add to each other; by default the newest file of a data set replaces it."
        ),
    ] = False,
    poll: Annotated[float, typer.Option("--poll", min=0.01, help="Seconds between two looks at DIRECTORY.")] = 1.0,
    objective: Objective = None,
    background: Background = "auto",
    fix: Fix = [],  # noqa: B006
    free: Free = [],  # noqa: B006
    bound: Bound = [],  # noqa: B006
    tie: Tie = [],  # noqa: B006
    each: Each = [],  # noqa: B006
    weights: Weights = "auto",
    robust: Robust = False,
    starts: Starts = 10,
    sigma_floor: SigmaFloor = None,
    sigma_max: SigmaMax = None,
    refine: Refine = 1,
    range: Range = [],  # noqa: B006
    mask: Mask = [],  # noqa: B006
    seed: Seed = 0,
    json_: Json = None,
    hints: dict[str, Any] = {},  # noqa: B006
) -> None:
    """The fit of a measurement while it arrives, and whether counting may stop.

    Example: `insiren live la2nio4 counts/ --out run --target J=0.3 --target Jp=0.2`

    Until a question is decided: `insiren live la2nio4 counts/ --out run --decide Jp=0 --odds 100`
    """
    check_file(json_, out)
    if not directory.is_dir():
        raise UsageError(
            f"{directory} is not a directory; create it before counting begins, so that no typo is watched."
        )
    targets = numbers(target, "--target")
    if bad := [name for name, error in targets.items() if error <= 0]:
        raise UsageError(f"--target {bad[0]}={targets[bad[0]]:g}: an error to reach is positive.")
    if not odds > 1:
        raise UsageError(f"--odds {odds:g}: odds that decide a question are above 1, such as 20.")
    if not 0 < confidence < 1:
        raise UsageError(f"--confidence {confidence:g}: a probability between 0 and 1, such as 0.68, is needed.")
    given = locals() | {
        "preset": None, "smear": None, "legs": False, "tube": None, "assignment": "nearest", "baseline": False
    }  # fmt: skip
    wishes = Wishes(**{name: given[name] for name in Wishes._fields})
    from insiren.live.run import Live
    from insiren.live.run import Wishes as LiveWishes
    from insiren.live.snapshots import only_writer

    command = facts({})["command"]
    asked = asked_of(forward, wishes)
    with only_writer(out), _page(out, serve, host, token), Timer() as timer:
        run = Live(
            asked, LiveWishes(
                directory, out, targets, confidence, incremental, command, numbers(decide, "--decide"), odds,
                spans_of(range), masks_of(mask),
            ),
            lambda path: read_all([path], hints),
            lambda level, text: say(text if level == "info" else f"{level}: {text}"),
            timer,
        )  # fmt: skip
        try:
            _follow(run, once, poll)
        finally:
            if run.number:
                write_json(run.folder.fit(run.number), json_)
    if once and not run.number:
        raise UsageError(f"{directory} gave no answer; {out / 'log.jsonl'} says why.")
    if str(json_) != "-":
        print(f"snapshot: {run.folder.path(run.number)}")


def _follow(run: Any, once: bool, poll: float) -> None:
    """Looks and updates until told to end; waits by the steady clock, which the time of day does not move."""
    pause = min(poll, _SETTLING) if once else poll
    run.look()
    while True:
        time.sleep(pause)
        begun = time.monotonic()
        if run.look():
            run.update()
            run.progress("waiting", 0.0)
        if once:
            return
        pause = max(0.01, poll - (time.monotonic() - begun))


@contextlib.contextmanager
def _page(out: Path, port: int | None, host: str, token: str | None) -> Iterator[None]:
    """A process that shows the run, so that readers do not slow the updates; it ends when this one does."""
    if port is None:
        yield
        return
    command = [sys.executable, "-m", "insiren", "page", str(out), "--port", str(port), "--host", host, "--with-parent"]
    environment = {**os.environ, **({} if token is None else {"INSIREN_TOKEN": token})}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdin is not None and process.stdout is not None
    try:
        address = process.stdout.readline().strip()  # once the port is had; nothing where it never will
        if not address:
            raise UsageError("--serve: the page did not start, for the reason above.")
        say(f"the page: {address}")
        yield
    finally:
        process.stdin.close()
        process.wait()


@hinted
def replay(
    data: DataNames,
    out: Annotated[Path, typer.Option("--out", help="The directory that the files go to.")],
    events: Annotated[
        float | None, typer.Option("--events", metavar="N", help="Neutrons at the last step; by default all there are.")
    ] = None,
    first: Annotated[float, typer.Option("--first", metavar="N0", help="Neutrons at the first step.")] = 1000,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Even in the logarithm of the neutrons.")] = 40,
    pace: Annotated[float, typer.Option("--pace", min=0, metavar="SECONDS", help="Between two steps.")] = 0.0,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Write what each step adds, instead of all until then.")
    ] = False,
    seed: Seed = 0,
    json_: Json = None,
    hints: dict[str, Any] = {},  # noqa: B006
) -> None:
    """A finished measurement as a stream of files, as if it were being counted.

    Example: `insiren replay la2nio4-data/ --out counts/ --first 2000 --events 800000 --steps 60 --pace 2`
    """
    check_file(json_)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a directory with --out.")
    from insiren.data.files import write
    from insiren.data.replay import stream, whole

    sets = read_all(data, hints)
    if events is not None and not math.isfinite(events):
        raise UsageError("--events must be a finite number.")
    made = stream(sets, first, events, steps, seed, incremental)
    import numpy as np

    held = sum(int(whole(one, np.random.default_rng(seed)).counts.sum()) for one in sets)
    if events is not None and events > held:
        say(f"note: beyond the {held:,} neutrons of the measurement, numbers are drawn about its smoothed intensity.")
    out.mkdir(parents=True, exist_ok=True)
    width, begun, total, files = len(str(steps)), time.monotonic(), 0.0, []
    with Timer() as timer:
        for n, step in enumerate(made):
            timer("replay", n / steps, f"step {n + 1} of {steps}")
            time.sleep(max(0.0, begun + n * pace - time.monotonic()))
            for one in step:
                path = out / f"{_file_name(one.name)}-{n + 1:0{width}d}.h5"
                write(one, path)
                files.append(path.name)
            now = sum(float(one.coords["counts"].values.sum()) for one in step)
            total = total + now if incremental else now
    write_json({"out": str(out), "files": files, "neutrons": total, "steps": steps, **facts(timer.seconds)}, json_)
    if str(json_) != "-":
        print(f"{out}: {steps} steps, {total:,.0f} neutrons")


def _file_name(name: str) -> str:
    """A name for a file from that of a data set."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name).lstrip(".") or "data"
