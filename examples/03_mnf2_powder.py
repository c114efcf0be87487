# %% [markdown]
# # A powder: MnF₂
#
# Time-of-flight data of MnF₂ powder (MARI, incident energy 12 meV) in an `.nxspe` file. It is not part of insiren: the
# folder that holds it is named by the variable `INSIREN_SHARED`. Without it the same map is simulated.

# %%
import os
from pathlib import Path

import numpy as np
import scipp as sc

import insiren as ins

simulator = ins.exact(ins.load_model("mnf2"))
shared = os.environ.get("INSIREN_SHARED")
if shared:
    (data,) = ins.read(Path(shared) / "data/mnf2/MAR18301_Ei12.00meV.nxspe", q_step=0.2)
else:
    print("INSIREN_SHARED is not set, so the map is simulated.")
    points = ins.Points.table(
        Q_abs=np.arange(0.7, 4.0, 0.2), omega=np.arange(2.0, 8.5, 0.06), bins=ins.Bins(Q_abs=0.2, omega=0.06)
    )
    clean = ins.simulate(simulator, {"q_fwhm": 0.0}, points)
    data = ins.count(clean, 30_000, seed=1, background=0.02 * float(np.max(clean.values)))

# %% [markdown]
# The elastic line and what lies above the band say nothing about the exchange, and the smallest |Q| are seen at few
# energies: the part in between is kept. Bins of 0.2 1/Å are narrow enough, since the model is averaged over them too.

# %%
data = data["energy_transfer", sc.scalar(2.0, unit="meV") : sc.scalar(8.5, unit="meV")].copy()
inside = np.flatnonzero((data.coords["Q_abs"].values > 0.6) & (data.coords["Q_abs"].values < 4.0))
data = data["Q", inside[0] : inside[-1] + 1].copy()
print(dict(data.sizes))

# %% [markdown]
# The resolution of this setting is not published, so the factor `width` on the model's 0.3 meV is free. The anisotropy
# follows from the gap of 1.1 meV, which lies under the elastic line, and stays as the model has it. The background is
# one value an energy, the default: what depends on |Q| is the magnet's.

# %%
fit = ins.fit(simulator, data, free=["width"], fixed={"q_fwhm": 0.0, "Dz": -0.018998}, starts=2)
for name in fit.names:
    print(f"{name:6} {fit.values[name]:8.4f} ± {fit.errors[name]:.4f}")
print(f"χ²/ν = {fit.chi2_reduced:.2f}")

# %% [markdown]
# Of single crystals J₁ = −0.0575 and J₂ = 0.3161 meV are known, bonds counted once.

# %%
assert abs(fit.values["J2"] / 0.3161 - 1) < 0.03
assert abs(fit.values["J1"] + 0.0575) < 0.02
