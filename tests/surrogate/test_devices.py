"""Training on several devices is the training on one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from insiren.surrogate.devices import sharing

SCRIPT = Path(__file__).with_name("parallel.py")
TOLERANCE = 1e-5  # sums in another order: 1e-6 was seen after these 100 steps


@pytest.mark.slow
def test_four_devices_end_with_the_weights_of_one(tmp_path):
    path = tmp_path / "found.npz"
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, SCRIPT, path], check=True, env=environment)
    found = np.load(path)
    assert int(found["devices"]) == int(found["sharing"]) == int(found["holding4"]) == 4
    assert int(found["holding1"]) == 1
    assert bool(found["sums4"]) and not bool(found["sums1"])  # gradients are summed over devices
    weights = [name for name in found if name.startswith("weights1.")]
    assert len(weights) == 6
    for name in weights:
        np.testing.assert_allclose(found[name.replace("1.", "4.", 1)], found[name], atol=TOLERANCE)
    assert float(found["error4"]) == pytest.approx(float(found["error1"]), rel=1e-3)
    assert float(found["error4"]) < 0.9 * float(found["error_at_first"])  # and they have learnt something


def test_a_batch_is_shared_evenly():
    assert 128 % sharing(128) == 0 and sharing(1) == 1
