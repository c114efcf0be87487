# %% [markdown]
# # A first fit
#
# A measurement is simulated, with neutrons counted, a background and a stripe that was not measured; the fit has to
# find the exchange constants again. Every step works the same on measured files read by `ins.read`.

# %%
import numpy as np

import insiren as ins
from insiren.model.crystal import route

model = ins.load_model("la2nio4")
simulator = ins.exact(model)
print([(p.name, p.value, p.unit) for p in simulator.parameters])

# %% [markdown]
# The spectrum is asked for on a route through the zone. `Points.table` is a full map: every energy at every wavevector.

# %%
truth = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.08}
hkl, corners = route(model, "P M X", spacing=0.02)
points = ins.Points.table(hkl, np.arange(30.0, 141.0, 2.0))
clean = ins.simulate(simulator, truth, points)
print(clean)

# %% [markdown]
# Counting: each pixel draws neutrons, on a flat background. Then a stripe is masked, as where a detector was blind.

# %%
measured = ins.count(clean, neutrons=40_000, seed=1, background=0.2 * float(np.mean(clean.values)))
measured.masks["blind"] = measured.masks["missing"].copy()
measured.masks["blind"].values[12:16] = True

# %% [markdown]
# The fit eliminates scale and background, screens the whole box of parameters and descends. Since the data hold counts,
# it uses their Poisson likelihood.

# %%
fit = ins.fit(simulator, measured, starts=4)
for name in fit.names:
    print(f"{name:7} {fit.values[name]:8.4f} ± {fit.errors[name]:.4f}   truth {truth[name]}")
    assert abs(fit.values[name] - truth[name]) < 3 * fit.errors[name]

# %% [markdown]
# What the data determine, in words, and how many of the raw starts found this minimum by themselves:

# %%
print(fit.identifiability())
print(fit.starts)
