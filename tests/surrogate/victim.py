"""A small training to be killed.

It goes on from FOLDER/training.checkpoint where there is one, writes a checkpoint after every stride
and FOLDER/end.insiren at the end, and says at which step it is, at first and then after each stride.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from insiren.forward import Parameter
from insiren.surrogate.checkpoint import load_checkpoint, save_checkpoint
from insiren.surrogate.loop import learn
from insiren.surrogate.samples import samples
from insiren.surrogate.store import save_surrogate
from insiren.surrogate.taught import Taught
from insiren.surrogate.training import Recipe

STEPS = 8_000


def line_samples():
    """A line whose energy follows h and one parameter."""
    rng = np.random.default_rng(0)
    params, h, omega = rng.uniform(5.0, 15.0, (30, 1)), np.linspace(0.0, 0.5, 6), np.linspace(0.0, 30.0, 31)
    E = params * (1 + np.sin(np.pi * h))
    S = np.exp(-((omega - E[:, :, None]) ** 2) / 8)
    hkl = np.column_stack([h, np.zeros(6), np.zeros(6)])
    return samples((Parameter("J", 10.0, 5.0, 15.0, "meV", True),), params, hkl, omega, S)


def main(folder: Path, tell: Callable[[int], None]) -> None:
    path = folder / "training.checkpoint"
    training = Taught.of(line_samples(), Recipe(steps=STEPS, width=16, layers=2, spectra=16), "kl")
    state = load_checkpoint(path, training).state if path.is_file() else None
    tell(0 if state is None else int(state.step))

    def keep(state) -> None:
        save_checkpoint(state, training, path)
        tell(int(state.step))

    surrogate = learn(training, state=state, checkpoint=keep)
    save_surrogate(surrogate, folder / "end.insiren")
