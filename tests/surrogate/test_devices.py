"""Training on several devices is the training on one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from insiren.surrogate.devices import sharing

SCRIPT = Path(__file__).with_name("parallel.py")
TOLERANCE = 2e-4  # sums in another order differ by 1e-7 at each of 200 steps, and steps amplify it


def trained_on(devices, path):
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, SCRIPT, path], check=True, env=environment)
    return np.load(path)


@pytest.mark.slow
def test_four_devices_end_with_the_weights_of_one(tmp_path):
    one, four = (trained_on(n, tmp_path / f"{n}.npz") for n in (1, 4))
    assert (int(one["devices"]), int(four["devices"])) == (1, 4)
    assert (int(one["holding"]), int(four["holding"])) == (1, 4)
    assert bool(four["sums"]) and not bool(one["sums"])  # gradients are summed over devices
    weights = [name for name in one if name.startswith("arr")]
    assert len(weights) == 6
    for name in weights:
        np.testing.assert_allclose(four[name], one[name], atol=TOLERANCE)
    assert float(four["error"]) == pytest.approx(float(one["error"]), rel=1e-3)


def test_a_batch_is_shared_evenly():
    assert sharing(128) >= 1 and 128 % sharing(128) == 0 and sharing(1) == 1
