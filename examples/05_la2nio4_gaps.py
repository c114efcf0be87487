# %% [markdown]
# # A crystal as it was measured: La₂NiO₄ with gaps
#
# The model `la2nio4` is the bare square lattice. A spectrometer sees more: spin gaps, the form factor of Ni²⁺, the
# polarisation factor of two twins, and at each energy only those wavevectors along l that the incident energy and the
# detectors reach, over which the published maps are a mean. The model `la2nio4-gap` has all of it. None of these
# settings was made with the answer in view: they are what the publication says of the experiment.
#
# Here both models are fitted to the measurement that Chitturi et al. published (Nat. Commun. 14, 5852 (2023)). It
# is not part of insiren: `insiren fetch la2nio4` brings it, and then `insiren fit la2nio4-gap la2nio4 --errors
# variance` is one of the fits below. Here the folder that holds it is found by the variable `INSIREN_SHARED`; without
# it coarser maps are simulated. The files called errors hold variances: pixels next to each other scatter like their
# roots, which `insiren inspect` says and `errors="variance"` takes for what it is.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import insiren as ins
from insiren.model.crystal import route

models = {name: ins.load_model(name) for name in ("la2nio4", "la2nio4-gap")}

shared = os.environ.get("INSIREN_SHARED")
if shared:
    paths = ins.read(Path(shared) / "data/la2nio4", errors="variance")
else:
    print("INSIREN_SHARED is not set, so these maps are simulated.")
    seen, paths = ins.exact(models["la2nio4-gap"]), []
    for seed, name in enumerate(("path1", "path2")):
        hkl = route(models["la2nio4-gap"], name, spacing=0.03)[0]
        clean = ins.simulate(seen, {"q_fwhm": 0.085}, ins.Points.table(hkl, np.arange(20.0, 141.0, 2.0)))
        paths.append(ins.count(clean, neutrons=200_000, seed=seed, background=0.2 * float(np.nanmean(clean.values))))
        paths[-1].name = name
for one in paths:
    print(one.name, dict(one.sizes))

# %% [markdown]
# Each model is fitted to both paths jointly, then to each alone: two pieces of data that see different parts of the
# band. A model that is right gives them one answer. The choices are named, so that all fits have the same: the scale of
# each path and a background value for every energy are
# free; J, J' and the broadening in Q are what is asked for.

# %%
choices = {"both paths": paths, "path 1 alone": paths[:1], "path 2 alone": paths[1:]}
fits = {}
for name, model in models.items():
    for words, data in choices.items():
        fit = fits[name, words] = ins.fit(ins.exact(model), data, weights="data", background="per-energy")
        answers = "   ".join(f"{one} = {fit.values[one]:7.3f} ± {fit.errors[one]:.3f}" for one in ("J", "Jp", "q_fwhm"))
        print(f"{name:12} {words:13} {answers}   χ²/ν = {fit.chi2_reduced:.2f}")


# %%
def apart(name: str, parameter: str = "J") -> float:
    """How far the two paths are apart, in combined errors."""
    one, two = (fits[name, f"path {n} alone"] for n in (1, 2))
    return abs(one.values[parameter] - two.values[parameter]) / np.hypot(one.errors[parameter], two.errors[parameter])


for name in models:
    print(f"{name:12} J differs between the paths by {apart(name):.1f} combined errors, Jp by {apart(name, 'Jp'):.1f}")
assert apart("la2nio4-gap") < 2.5
assert apart("la2nio4-gap", "Jp") < 2.5

# %% [markdown]
# What each of the settings does to J, and how far other choices of the analysis move it, is in
# [La2NiO4: what the fit gives](../la2nio4.md). The remarks of the fit say what the errors do not contain.

# %%
fit = fits["la2nio4-gap", "both paths"]
print(*fit.remarks(), sep="\n")

# %%
figure, axes = plt.subplots(2, 2, figsize=(9, 6), sharex="col", sharey=True, layout="constrained")
for column, one in zip(axes.T, fit.maps, strict=True):
    measured = one.measured
    shape = measured.points.rows.shape
    omega = np.asarray(measured.points.rows[0])
    pictures = {
        f"{measured.name}, measured": np.where(measured.used, measured.intensity, np.nan),
        "fitted": np.where(measured.used, one.profile.model, np.nan),
    }
    top = np.nanpercentile(pictures["fitted"], 99)
    for axis, (title, values) in zip(column, pictures.items(), strict=True):
        axis.pcolormesh(np.arange(shape[0]), omega, values.reshape(shape).T, vmin=0, vmax=top)
        axis.set_title(title)
    column[1].set_xlabel("wavevector along the path")
for axis in axes[:, 0]:
    axis.set_ylabel("energy transfer (meV)")
