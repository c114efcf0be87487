"""Speed of the spin waves beside pySpinW and magnopy, the cost of a gradient, and growth to a million wavevectors.

The magnet is the square lattice in Néel order with J₁, J₂ and a small easy axis, in magnetic cells
of 2, 8 and 32 spins. As it is, S^z is conserved and H(Q) falls into two blocks, which insiren solves
one by one. "Mixed" adds a small DM interaction and a small anisotropic exchange, so that H(Q) is
one complex matrix without blocks. Every code gets the same bonds, spins and wavevectors.

Each code runs in a process of its own, pinned to one core with one thread; the codes take turns,
five runs each. A code's first run is not counted, and neither is compilation, which happens before.
Times are CPU times: on one core those of a quiet machine, whatever else is running.
insiren and pySpinW give energies and perpendicular intensities, magnopy energies alone.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from insiren.forward import Points, complete
from insiren.instrument.exact import exact
from insiren.model.spec import Model

ROOT = Path(__file__).parents[1]
COMPARISON = ROOT / "comparison"  # scripts, no package
sys.path.append(str(COMPARISON))

from problem import write_problem  # noqa: E402

PEERS = ROOT / ".bench-peers" / "bin" / "python"  # `make bench` makes it
RUNS = 5
WAVEVECTORS = {2: 10_000, 8: 2_000, 32: 300}
ENERGIES = np.linspace(5.0, 120.0, 100)  # meV, across the bands
_CELLS = {2: 1, 8: 2, 32: 4}  # length of the supercell, in that of the magnetic cell
_ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
}
Row = tuple[str, str, str, str]
T = TypeVar("T")


def built(spins: int, mixed: bool) -> Model:
    """The magnet in a magnetic cell of so many spins."""
    n = _CELLS[spins]
    values = {"J": 29.0, "Jp": 1.67, "D": -1.0} | ({"G": 0.4, "DM": 0.3} if mixed else {})

    def first(sign: str) -> Any:
        return [["J", f"{sign}G + DM", 0], [f"{sign}G - DM", "J", 0], [0, 0, "J"]] if mixed else "J"

    bonds = (([1, 0, 0], first("")), ([0, 1, 0], first("-")), ([1, 1, 0], "Jp"), ([1, -1, 0], "Jp"))
    return Model.from_dict(
        {
            "name": f"{spins} spins{', mixed' if mixed else ''}",
            "crystal": {"a": 3.9, "b": 3.9, "c": 12.5},
            "site": [{"position": [0, 0, 0], "spin": 1.0}],
            "bond": [{"i": 0, "j": 0, "offset": d, "exchange": J} for d, J in bonds],
            "anisotropy": [{"site": 0, "matrix": [[0, 0, 0], [0, 0, 0], [0, 0, "D"]]}],
            "structure": {
                "directions": [[0, 0, 1]],
                "k": [0.5, 0.5, 0],
                "axis": [1, 0, 0],
                "supercell": [[n, n, 0], [n, -n, 0], [0, 0, 1]],
            },
            "parameters": {name: {"value": x, "min": -100, "max": 100} for name, x in values.items()},
            "scattering": {"correlation": "perp"},
            "instrument": {"resolution": {"constant": 4.0}},
        }
    )


def wavevectors(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 3))


def pinned(command: list[str]) -> list[str]:
    """A command on one core, where the system can do that."""
    return ["taskset", "-c", "0", *command] if shutil.which("taskset") else command


class Code:
    """A code in a process of its own, ready to run as often as it is asked."""

    def __init__(self, command: list[str], problem: Path, results: Path):
        paths = [str(COMPARISON), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        self.process = subprocess.Popen(
            pinned([*command, str(problem), str(results)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        if self._line() != "ready":
            raise RuntimeError(f"{command[-1]} did not get ready for {problem.name}.")

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def seconds(self) -> float:
        """Runs once; what that took of the processor."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        self.process.communicate()


def peers_rows() -> Iterator[Callable[[], list[Row]]]:
    if not PEERS.exists():
        yield lambda: [("spin waves beside the peers", "", "no .bench-peers: run `make bench`", "")]
        return
    for spins in WAVEVECTORS:
        for mixed in (False, True):
            yield lambda spins=spins, mixed=mixed: beside_peers(built(spins, mixed), WAVEVECTORS[spins])


def beside_peers(model: Model, count: int) -> list[Row]:
    """Times of one model by all codes, and that they find the same."""
    commands = {
        "insiren": [sys.executable, str(Path(__file__).parent / "run_insiren.py")],
        "pySpinW": [str(PEERS), str(COMPARISON / "run_pyspinw.py")],
        "magnopy": [str(PEERS), str(COMPARISON / "run_magnopy.py")],
    }
    with tempfile.TemporaryDirectory() as name:
        problem = Path(name) / "problem.npz"
        write_problem(problem, model, wavevectors(count))
        codes = {code: Code(command, problem, Path(name) / f"{code}.npz") for code, command in commands.items()}
        runs = [{code: one.seconds() for code, one in codes.items()} for _ in range(RUNS)]
        for one in codes.values():
            one.close()
        energies = {code: np.sort(np.load(Path(name) / f"{code}.npz")["energies"], axis=1) for code in codes}
    for code, E in energies.items():
        np.testing.assert_allclose(E, energies["insiren"], rtol=1e-6, err_msg=code)
    micro = {code: [1e6 * run[code] / count for run in runs] for code in codes}
    return [
        (f"{model.name}, {count:,} Q", per_q(micro["insiren"]), f"{per_q(micro[code])}, {code}", ratio(micro, code))
        for code in ("pySpinW", "magnopy")
    ]


def per_q(micro: list[float]) -> str:
    return f"{statistics.median(micro):.3g} µs ({min(micro):.3g} … {max(micro):.3g})"


def ratio(micro: dict[str, list[float]], code: str) -> str:
    each = [b / a for a, b in zip(micro["insiren"], micro[code], strict=True)]
    return f"{statistics.median(each):.2f}× ({min(each):.2f} … {max(each):.2f})"


def gradient_rows() -> Iterator[Callable[[], list[Row]]]:
    for spins in WAVEVECTORS:
        for mixed in (False, True):
            yield lambda spins=spins, mixed=mixed: alone(
                "gradient", f"{spins} {int(mixed)}", lambda out: [gradient(out)]
            )


def growth_rows() -> Iterator[Callable[[], list[Row]]]:
    def rows() -> list[Row]:
        found = [alone("growth", f"{count}", str.split) for count in (1_000, 10_000, 100_000, 1_000_000)]
        return [
            (
                f"2 spins, {int(count):,} Q",
                f"{1e6 * float(t) / int(count):.3g} µs",
                "10 energies each",
                f"peak {memory} MB",
            )
            for count, t, memory in found
        ]

    yield rows


def alone(what: str, arguments: str, read: Callable[[str], T], script: str = __file__) -> T:
    """One measurement of insiren in a process of its own, read from what it prints."""
    command = pinned([sys.executable, script, what, *arguments.split()])
    run = subprocess.run(command, env=os.environ | _ONE_THREAD, check=True, capture_output=True, text=True)
    return read(run.stdout.strip())


def gradient(out: str) -> Row:
    name, *pairs = out.splitlines()
    value, slopes = ([float(pair.split()[n]) for pair in pairs] for n in range(2))
    micro = {"insiren": value, "slopes": slopes}
    return f"{name}, gradient in 4", per_q(slopes), f"{per_q(value)}, spectrum alone", ratio(micro, "slopes")


def timed(function: Callable[[], Any]) -> float:
    begin = time.process_time()
    jax.block_until_ready(function())
    return time.process_time() - begin


def measure_gradient(spins: int, mixed: bool) -> None:
    """Prints µs per wavevector of the spectrum, and of it with its slopes, run in turn."""
    model, count = built(spins, mixed), WAVEVECTORS[spins]
    forward = exact(model).given({"q_fwhm": 0.0})
    params, points = complete(forward.parameters, {}), Points.table(wavevectors(count), ENERGIES)
    names = ("J", "Jp", "D", "G" if mixed else "width")

    def spectrum(theta: jax.Array) -> jax.Array:
        return forward.spectrum(params | dict(zip(names, theta, strict=True)), points)

    def slopes(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        along = lambda direction: jax.jvp(spectrum, (theta,), (direction,))  # noqa: E731
        return jax.vmap(along, out_axes=(None, 0))(jnp.eye(len(names)))

    theta = jnp.array([params[name] for name in names])
    both = [jax.jit(f).lower(theta).compile() for f in (spectrum, slopes)]
    print(f"{model.name}, {count:,} Q × {len(ENERGIES)} energies")
    for run in range(RUNS + 1):
        seconds = [timed(lambda f=f: f(theta)) for f in both]
        if run:
            print(*(1e6 * s / count for s in seconds))


def measure_growth(count: int) -> None:
    """Prints the number of wavevectors, the seconds of a spectrum and the largest memory of the process in MB."""
    forward = exact(built(2, mixed=True)).given({"q_fwhm": 0.0})
    params, points = complete(forward.parameters, {}), Points.table(wavevectors(count), ENERGIES[::10])
    spectrum = jax.jit(lambda params, points: forward.spectrum(params, points)).lower(params, points).compile()
    seconds = statistics.median(timed(lambda: spectrum(params, points)) for _ in range(RUNS))
    print(count, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


if __name__ == "__main__":
    if sys.argv[1] == "gradient":
        measure_gradient(int(sys.argv[2]), bool(int(sys.argv[3])))
    else:
        measure_growth(int(sys.argv[2]))
