"""The command page: past snapshots in a browser."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from insiren.cli.session import say

Host = Annotated[str, typer.Option("--host", help="Address to listen at; others than this machine's own need --token.")]
Token = Annotated[
    str | None, typer.Option("--token", envvar="INSIREN_TOKEN", help="That every reader has to know; see --host.")
]


def page(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that `insiren live` wrote or is writing.")],
    port: Annotated[int, typer.Option("--port", help="To listen at.")] = 8765,
    host: Host = "127.0.0.1",
    token: Token = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """The snapshots of a measurement, finished or running, as a page in the browser.

    Example: `insiren page result`, then open http://127.0.0.1:8765/
    """
    from insiren.dashboard.serve import serve

    if out.is_dir() and not (out / "snapshots").is_dir():
        say(f"{out} holds no snapshots yet; the page waits for the first.")
    if with_parent:
        serve(out, port, host, token, _started)
    else:
        serve(out, port, host, token, lambda address: say(f"{address}  (Ctrl-C ends it)"))


def _started(address: str) -> None:
    """Tells whoever started the page where it is; a thread that waits for their end begins only now."""
    print(address, flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends the page when whoever started it closes its standard input, which its death does too."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)  # a process in the background may have to ignore SIGINT
