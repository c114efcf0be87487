# %% [markdown]
# # A list of peaks: LuVO₃
#
# Of some measurements only a table is left: at these wavevectors there was a peak at this energy, with this error. Here
# it is the table of LuVO₃ (Skoulatos et al., Phys. Rev. B 91, 161104(R) (2015)) that comes with SpinW's tutorial on it.
# It is not part of insiren: the folder that holds it is named by the variable `INSIREN_SHARED`. Without it peaks are
# simulated at about the same places, from the published parameters.

# %%
import os
from pathlib import Path

import numpy as np

import insiren as ins
from insiren.data.peaks import peak_list

model = ins.load_model("luvo3")
simulator = ins.exact(model)
published = {"Jab": 5.95, "Jc": 4.24, "Dx": 0.48, "Dy": 0.06}

shared = os.environ.get("INSIREN_SHARED")
if shared:
    peaks = ins.read(Path(shared) / "data/luvo3/LuVO3_fitted_modes.txt")[0]
else:
    print("INSIREN_SHARED is not set, so these peaks are simulated.")
    l = np.arange(2.1, 3.05, 0.1)
    hkl = np.concatenate([[[0, 1, x] for x in l], [[0, x, x + 2] for x in (1.1, 1.2, 1.3, 1.4)]])
    energies, S = (np.asarray(x) for x in ins.bands(model, hkl, published))
    strongest = np.argmax(np.einsum("qnaa->qn", S).real, axis=1)
    observed = energies[np.arange(len(hkl)), strongest] + np.random.default_rng(1).normal(0, 0.15, len(hkl))
    peaks = peak_list("simulated", hkl, observed, np.full(len(hkl), 0.15))
print(peaks)

# %% [markdown]
# A peak is compared with a mode, and first one has to know with which. By default every mode that would be seen
# competes, and peaks and modes are matched so that the sum of squared distances is least. Intensities, line widths and
# backgrounds play no part.

# %%
fit = ins.fit(simulator, peaks, starts=4)
for name in fit.names:
    print(f"{name:4} {fit.values[name]:7.3f} ± {fit.errors[name]:.3f} meV   published {published[name]}")
if shared:
    assert abs(fit.values["Jab"] / published["Jab"] - 1) < 0.05
    assert abs(fit.values["Jc"] / published["Jc"] - 1) < 0.05

# %% [markdown]
# χ² per degree of freedom says how far the peaks lie from the modes in their own errors; the errors above are widened
# accordingly. A peak that stands out is named: in the table it is the one at the top of the band, 36.7 ± 0.5 meV at
# (0, 1.5, 3.5), which no parameters of this model reach.

# %%
print(f"χ²/ν = {fit.chi2_reduced:.2f}")
for peak in fit.peaks:
    off = f"mode {peak.calculated:6.2f}   {peak.off:+.1f} σ"
    print(f"{peak.hkl!s:16} observed {peak.observed:6.2f} ± {peak.sigma:.2f}   {off}")
print(*fit.remarks(), sep="\n")

# %% [markdown]
# Where two modes lie closer than the resolution, the rule matters. SpinW's takes the strongest ones; the difference is
# an error of its own kind, and here larger than what counting the peaks would suggest.

# %%
strongest = ins.fit(simulator, peaks, starts=4, assignment="strongest")
for name in fit.names:
    print(f"{name:4} nearest {fit.values[name]:.3f}, strongest {strongest.values[name]:.3f} meV")
