# %% [markdown]
# # A theory of one's own: exact diagonalisation
#
# A surrogate can learn from any Python function. Here it is the dynamical structure factor of a ring of ten spins ½
# with first and second neighbours, by exact diagonalisation with NumPy: no spin waves, nothing that JAX could trace.

# %%
import functools

import numpy as np
from distributed import Client, LocalCluster

import insiren as ins

SITES, FWHM = 10, 2.0  # meV

# %% [markdown]
# H = J Σ Sᵢ·Sᵢ₊₁ + αJ Σ Sᵢ·Sᵢ₊₂ in the sector Sᶻ = 0, where the ground state lies: 252 states for ten sites. Every
# entry scales with J, so the two parts are built once.


# %%
@functools.cache
def sector():
    """Parts of H/J for first and second neighbours, and Sᶻ of each site, in the states with half of the spins up."""
    states = [s for s in range(2**SITES) if s.bit_count() == SITES // 2]
    number = {s: n for n, s in enumerate(states)}
    up = np.array([[s >> i & 1 for i in range(SITES)] for s in states]) - 0.5
    parts = []
    for distance in (1, 2):
        H = np.diag((up * np.roll(up, -distance, axis=1)).sum(1))
        for i in range(SITES):
            pair = 1 << i | 1 << (i + distance) % SITES
            for n, s in enumerate(states):
                if (s & pair) not in (0, pair):  # one up, one down: the flip has the matrix element 1/2
                    H[number[s ^ pair], n] += 0.5
        parts.append(H)
    return parts, up


def spectrum(params, points):
    """S^zz(h, ω) per site at T = 0, each line a Gaussian of the resolution; h = n / sites belongs to the ring."""
    (first, second), up = sector()
    E, states = np.linalg.eigh(params["J"] * (first + params["alpha"] * second))
    phases = np.exp(2j * np.pi * np.outer(np.asarray(points.hkl)[:, 0], np.arange(SITES)))
    weights = np.abs(phases @ (up * states[:, :1]).T @ states) ** 2 / SITES  # |⟨n|S^z_q|0⟩|²
    rows = np.asarray(points.rows)
    sigma = FWHM / np.sqrt(8 * np.log(2))
    lines = np.exp(-(((rows[:, :, None] - (E - E[0])) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
    return np.einsum("qn,qwn->qw", weights, lines).reshape(-1)


# %% [markdown]
# Two numbers say whether that is right: summed over wavevectors and energies it holds S(S + 1)/3 = 1/4 per site, and
# the ring of Heisenberg spins has its known ground state energy, −0.4515 J per site for ten sites.

# %%
(first, second), _ = sector()
print("energy per site", np.linalg.eigvalsh(first)[0] / SITES, "J")
assert abs(np.linalg.eigvalsh(first)[0] / SITES + 0.451545) < 1e-5
wide = ins.Points.table(np.outer(np.arange(SITES) / SITES, [1, 0, 0]), np.arange(-10, 60, 0.25))
assert abs(0.25 * spectrum({"J": 10.0, "alpha": 0.2}, wide).sum() / SITES - 0.25) < 1e-4

# %% [markdown]
# The function is called at 64 parameter sets, spread evenly over the box, by the workers of a dask cluster: here
# threads of this process; an address such as `cluster="tcp://host:8786"` reaches those of a facility. The wavevectors
# are those of the ring; between them the surrogate interpolates what does not exist.

# %%
parameters = (
    ins.Parameter("J", 10.0, 6.0, 14.0, "meV", True),
    ins.Parameter("alpha", 0.2, 0.0, 0.45, "", True),
)
hkl = np.outer(np.arange(1, SITES // 2 + 1) / SITES, [1, 0, 0])
threads = LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None)
with threads, Client(threads) as client:
    samples = ins.sample(spectrum, parameters, hkl, np.arange(0.0, 45.5), sets=64, seed=1, cluster=client)
print(samples.S.shape)

# %% [markdown]
# The surrogate learns from them. Every twentieth set is held out and says how good it is.

# %%
surrogate = ins.train_on(samples, ins.Recipe(steps=3000, width=32, layers=3, spectra=32, seed=1), ignored="kl")
print(surrogate.describe()["surrogate"]["held_out"])
assert surrogate.describe()["surrogate"]["held_out"]["r_min"] > 0.99

# %% [markdown]
# Data at a truth that it has never seen, with neutrons counted, and the fit through the surrogate.

# %%
truth = {"J": 10.7, "alpha": 0.23}
points = ins.Points.table(hkl, np.arange(2.0, 40.0))
clean = spectrum(truth, points).reshape(len(hkl), -1)  # the theory itself, not what was learnt
measured = ins.count(ins.image("ring", hkl, points.rows[0], clean, None), neutrons=20_000, seed=2)
fit = ins.fit(surrogate, measured, starts=4)
for name in fit.names:
    print(f"{name:6} {fit.values[name]:7.4f} ± {fit.errors[name]:.4f}   truth {truth[name]}")
    assert abs(fit.values[name] - truth[name]) < 3 * fit.errors[name]
