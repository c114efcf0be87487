"""The network that the authors of the paper released, as a Surrogate; their weights are no part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.surrogate.paper import published
from insiren.surrogate.siren import Siren
from insiren.surrogate.surrogate import Surrogate


def released() -> Surrogate | None:
    """Reads reference/paper_siren_weights.npz in the folder named by INSIREN_SHARED; None without it."""
    if "INSIREN_SHARED" not in os.environ:
        return None
    path = Path(os.environ["INSIREN_SHARED"]) / "reference" / "paper_siren_weights.npz"
    with np.load(path, allow_pickle=False) as file:
        layers = sum(name.startswith("W") for name in file)
        net = Siren(*([jnp.asarray(file[f"{kind}{n}"]) for n in range(layers)] for kind in "Wb"))
    return published(exact(load_model("la2nio4")), net)
