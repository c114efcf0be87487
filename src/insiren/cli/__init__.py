"""The command line: one subcommand a stage.

Stages are imported inside the command that needs them, so that --help is instant. Results go to
standard output, progress and remarks to standard error; with `--json -` standard output holds
the JSON alone. Exit status: 0 done, 2 the user can mend it, 1 a defect of ours.
"""

from __future__ import annotations

import sys

import typer

from insiren.cli.answer import fit, landscape
from insiren.cli.bring import models, simulate
from insiren.cli.demo import demo
from insiren.cli.live import live, replay
from insiren.cli.look import fetch, inspect
from insiren.cli.page import page
from insiren.cli.session import say
from insiren.cli.train import train
from insiren.errors import InsirenError

app = typer.Typer(
    help="Spin Hamiltonians from measured excitation spectra.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for _command in (demo, models, fetch, inspect, simulate, train, fit, landscape, live, replay, page):
    app.command()(_command)


def main() -> None:
    """The entry point: runs a command and turns errors the user can mend into one message."""
    try:
        app()
    except InsirenError as error:
        say(f"insiren: {error}")
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130:  # Typer's answer to Ctrl-C
            say("insiren: stopped; files that existed are whole.")
        raise
    except OSError as error:
        say(f"insiren: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
        sys.exit(2)
    except Exception as error:
        if not _without_memory(error):
            raise
        say(
            "insiren: there is not enough memory for this. Take a part of the data (--range E=LO:HI), a background of "
            "fewer functions (--background per-energy), or fewer quadrature nodes (--refine 1)."
        )
        sys.exit(2)


def _without_memory(error: Exception) -> bool:
    """Whether Python or XLA ran out of memory; JAX is asked only where it was imported."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
