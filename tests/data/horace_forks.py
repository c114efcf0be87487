"""Reads MAT-files of Horace as a child of its own does, but from copies of one process that has imported everything.

Starting Python and HDF5 costs some tenths of a second a file; a copy of a process that has done so costs some
milliseconds, and is confined by the same code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS = 60  # of wall time


class Forks:
    """A stand-in for `confined.run`; a context manager that ends its process, which starts when it is needed."""

    process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Forks:
        self.folder = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            assert self.process.stdin and self.process.stdout
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
        self.folder.cleanup()

    def run(self, path: Path):
        from insiren.data.files.confined import SAID, Answer

        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__, self.folder.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        answer, said = (Path(self.folder.name) / name for name in ("answer", "said"))
        return Answer(status, answer.read_bytes(), said.read_bytes()[:SAID])


def serve(folder: str) -> None:
    """Answers each line, a path, with the exit status of the copy that read it."""
    from insiren.data.files import horace_server

    for line in sys.stdin:
        if not (child := os.fork()):
            signal.alarm(SECONDS)
            for number, name in ((1, "answer"), (2, "said")):
                os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            status = 1
            try:
                status = horace_server.main(line.rstrip("\n"))
                sys.stdout.flush()
            finally:
                os._exit(status)
        _, how = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(how), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
