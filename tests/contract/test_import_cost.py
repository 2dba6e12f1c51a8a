"""The command line starts fast: help needs none of the heavy libraries. Measured in processes of their own."""

import json
import subprocess
import sys
import time

import pytest

from cmirnet_cli.app import COMMANDS

HEAVY = ("torch", "torchvision", "timm", "transformers", "accelerate", "h5py", "numpy", "PIL", "pycocotools", "onnxruntime")
HELP_SECONDS = 0.3

SHOW_HELP = """
import json, sys
from cmirnet_cli.app import run
found, commands, heavy = {}, json.loads(sys.argv[1]), json.loads(sys.argv[2])
for words in [[], *commands]:
    code = run([*words, "--help"])
    found[" ".join(words) or "cmirnet"] = [code, sorted(set(heavy) & set(sys.modules))]
print(json.dumps(found), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def after_help():
    """Command → [exit code, heavy libraries that are imported after its help]."""
    commands = [name.split() for name, _ in COMMANDS]
    words = [sys.executable, "-c", SHOW_HELP, json.dumps(commands), json.dumps(HEAVY)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stderr)


@pytest.mark.parametrize("command", ["cmirnet", *(name for name, _ in COMMANDS)])
def test_help_imports_no_heavy_library(after_help, command):
    assert after_help[command] == [0, []]


def test_the_package_and_its_public_names_are_listed_without_torch():
    code = "import sys, cmirnet_cli; dir(cmirnet_cli); sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_takes_under_300_milliseconds():
    """The best of up to twenty tries: what else the machine does is not ours."""
    tries = (_seconds([sys.executable, "-m", "cmirnet_cli", "--help"]) for _ in range(20))
    assert any(seconds < HELP_SECONDS for seconds in tries)


def _seconds(words: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - started
