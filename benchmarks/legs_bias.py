"""Whether a background smooth in Q and energy takes a part of the signal: La2NiO4 simulated as it was fitted.

    python benchmarks/legs_bias.py FOLDER [MEASUREMENTS]

FOLDER holds both measured paths. They are fitted by legs, each with a background smooth in Q and energy. Measurements
are drawn from that answer, its signal and its backgrounds, with the noise that it has, and fitted again from it, the
stiffness of the backgrounds found anew. Printed is how far J and Jp are off in their standard errors.
"""

from __future__ import annotations

import dataclasses
import sys

import jax.numpy as jnp
import numpy as np

import insiren as ins
from insiren.data.legs import legs
from insiren.fit.marquardt import descend
from insiren.fit.objective import Target
from insiren.fit.reweight import FINELY, settle
from insiren.fit.weights import Noise
from insiren.model.crystal import lattice

NAMES = ("J", "Jp")


def drawn(t: Target, model: np.ndarray, noise: float, rng: np.random.Generator) -> Target:
    """The data set as it would be measured if the model were right."""
    weight = np.asarray(t.weight)
    sigma = np.sqrt(noise / np.where(weight > 0, weight, np.inf))
    return t._replace(intensity=jnp.asarray(np.where(weight > 0, model + sigma * rng.normal(size=len(model)), 0.0)))


def main() -> None:
    model = ins.load_model("la2nio4-gap")
    data = [
        leg for one in ins.read(sys.argv[1], errors="variance") for leg in legs(one, None, lattice(model).reciprocal)
    ]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    full = ins.fit(ins.exact(model), data, background="lowrank", weights="model", starts=1)
    at = [full.names.index(name) for name in NAMES]
    print(", ".join(f"{n} = {full.values[n]:.3f} ± {full.errors[n]:.3f}" for n in NAMES), flush=True)
    weighed = []
    for m, t in zip(full.maps, full.problem.data, strict=True):
        weight = np.asarray(t.weight)
        weighed.append(dataclasses.replace(m.measured, sigma=np.where(weight > 0, weight, 1.0) ** -0.5))
    noises = tuple(Noise(m, False, False, None) for m in weighed)
    pulls = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        fresh = tuple(
            drawn(t, np.asarray(m.profile.model), full.noise, rng)
            for t, m in zip(full.problem.data, full.maps, strict=True)
        )
        problem = dataclasses.replace(full.problem, data=fresh)
        theta = descend(problem, full.theta[None], FINELY).thetas[0]
        theta, problem = settle(problem, theta, noises, lambda stage, fraction: None)
        J = problem.jacobian(theta)[1]
        errors = np.sqrt(full.noise * np.diag(np.linalg.inv(J.T @ J)))
        pulls.append(((theta - full.theta) / errors)[at])
        mean, spread = np.mean(pulls, axis=0), np.std(pulls, axis=0)
        known = 1 / np.sqrt(len(pulls))
        parts = (
            f"{n} {pull:+.2f}, mean {m:+.2f} ± {known:.2f}, spread {x:.2f} σ"
            for n, pull, m, x in zip(NAMES, pulls[-1], mean, spread, strict=True)
        )
        print(f"{seed + 1}: {'; '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
