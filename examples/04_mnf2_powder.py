# %% [markdown]
# # A powder: MnF₂ on MARI
#
# A powder shows |Q| and energy alone, yet that is often enough. Here it is manganese difluoride, measured on the MARI
# spectrometer at an incident energy of 12 meV. The measurement is not part of insiren: the folder that holds it is
# named by the variable `INSIREN_SHARED`. Without it a coarser map is simulated.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import insiren as ins
from insiren.data.within import within

model = ins.load_model("mnf2")
simulator = ins.exact(model)
known = {"J1": -0.0575, "J2": 0.3161}

shared = os.environ.get("INSIREN_SHARED")
if shared:
    data = ins.read(Path(shared) / "data/mnf2/MAR18301_Ei12.00meV.nxspe")[0]
else:
    print("INSIREN_SHARED is not set, so this map is simulated.")
    points = ins.Points.table(Q_abs=np.arange(0.4, 3.0, 0.1), omega=np.arange(1.0, 8.0, 0.1), bins=ins.Bins(Q_abs=0.1))
    clean = ins.simulate(simulator, {"width": 0.83}, points)
    data = ins.count(clean, neutrons=200_000, seed=1, background=0.1 * float(np.mean(clean.values)))
print(data)

# %% [markdown]
# The elastic line is left out, and the energy width is fitted, since MARI's is not given: it is a factor on the 0.3 meV
# of the model file. At the command line the same is
#
#     insiren fit mnf2 MAR18301_Ei12.00meV.nxspe --range E=1.8:8 --free width --out mnf2
#
# The average over orientations is over as many as it takes: they are doubled until the spectrum stands still.

# %%
fit = ins.fit(simulator, within(data, {"E": (1.8, 8.0)}), free=["width"])
for name in fit.names:
    error = fit.errors[name]
    print(f"{name:6} {fit.values[name]:8.4f} ± {error or np.nan:.4f}   known {known.get(name, np.nan)}")
print(fit.chi2_reduced, fit.problem.prepared[0].orientations)
assert abs(fit.values["J2"] / known["J2"] - 1) < 0.03
assert abs(fit.values["J1"] - known["J1"]) < 0.02

# %% [markdown]
# The easy-axis term D_z hardly acts on energies above 1.8 meV, which lie beyond the gap it makes. Where it ends at a
# bound the fit says so, and it has no error.

# %%
print(*fit.remarks(), sep="\n")

# %% [markdown]
# Measured and fitted map. The errors are those of the counting, widened by the misfit; a χ² above 1 says that something
# is left out, as phonons, multiple scattering and a temperature are here.

# %%
(one,) = fit.maps
measured = one.measured
shape = measured.points.rows.shape
Q, omega = np.asarray(measured.points.Q_abs), np.asarray(measured.points.rows[0])
pictures = {
    "measured": np.where(measured.used, measured.intensity, np.nan),
    "fitted": np.where(measured.used, one.profile.model, np.nan),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True)
top = np.nanpercentile(pictures["fitted"], 99)
for axis, (title, values) in zip(axes, pictures.items(), strict=True):
    drawn = axis.pcolormesh(Q, omega, values.reshape(shape).T, vmin=0, vmax=top)
    axis.set(title=title, xlabel="|Q| (1/Å)")
axes[0].set_ylabel("energy transfer (meV)")
figure.colorbar(drawn, ax=axes, label="intensity")
