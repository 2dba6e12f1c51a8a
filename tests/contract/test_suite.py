"""The suite itself: what it leaves out, it names."""

import os
import subprocess
import sys
from pathlib import Path

SLOW_FILE = Path(__file__).parents[1] / "flow/test_wheel.py"


def test_slow_tests_for_which_no_time_is_left_are_named():
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", "-m", "slow", str(SLOW_FILE)]
    ended = subprocess.run(words, env=os.environ | {"CMIRNET_SLOW_UNTIL": "1"}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "no time is left for slow tests; run them with: make slow" in ended.stdout
    assert "passed" not in ended.stdout
