"""Error bars hold the truth as often as they promise; a small version of benchmarks/coverage_study.py."""

import pytest
from coverage_study import LEVELS, coverage

MEASUREMENTS = 60


@pytest.mark.slow
@pytest.mark.parametrize("neutrons", LEVELS.values(), ids=LEVELS)
def test_intervals_hold_the_truth_as_often_as_they_say(neutrons):
    found = coverage(neutrons, MEASUREMENTS)
    for name in ("J", "Jp"):
        # two binomial errors of 60 measurements about 68.3 and 95.0 %: 12 and 6 points
        assert 0.683 - 0.12 < found.one[name] < 0.683 + 0.12
        assert found.two[name] > 0.95 - 0.06
        assert abs(found.bias[name]) < 3 / MEASUREMENTS**0.5
