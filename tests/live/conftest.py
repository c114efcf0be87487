"""The helpers of these tests are found by tests that are run alone, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
