"""The command line starts fast: help needs none of the heavy libraries. Measured in processes of their own."""

import json
import os
import re
import subprocess
import sys

import pytest

from cmirnet_cli.app import COMMANDS

HEAVY = ("torch", "torchvision", "timm", "transformers", "accelerate", "h5py", "numpy", "PIL", "pycocotools", "onnxruntime", "nicegui")
HELP_SECONDS = 0.3
COUNT = [sys.executable, "-c", "sum(i * i for i in range(3_000_000))"]
COUNT_SECONDS = 0.25
"""What counting takes where help was promised to take less than `HELP_SECONDS`; a slower machine has longer for both."""

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


COMPLETE = """
import json, sys
from cmirnet_cli.app import run
run()
print(json.dumps(sorted(set(json.loads(sys.argv[1])) & set(sys.modules))), file=sys.stderr)
"""
BASH = {"_CMIRNET_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
ZSH = {"_CMIRNET_COMPLETE": "complete_zsh"}
FISH = {"_CMIRNET_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (BASH | {"COMP_WORDS": "cmirnet train --pre"}, {"--preset", "--precision"}),
        (BASH | {"COMP_WORDS": "cmirnet presets "}, {"ls", "show", "cp"}),
        (ZSH | {"_TYPER_COMPLETE_ARGS": "cmirnet cac"}, {"cache", "cache-features"}),
        (FISH | {"_TYPER_COMPLETE_ARGS": "cmirnet eval --protocol "}, {"paper", "original", "both"}),
    ],
    ids=["bash-options", "bash-commands", "zsh", "fish"],
)
def test_the_shell_completes_words_and_imports_no_heavy_library(environment, words):
    command = [sys.executable, "-c", COMPLETE, json.dumps(HEAVY)]
    ended = subprocess.run(command, env=os.environ | environment, check=True, capture_output=True, text=True)
    assert words <= set(re.findall(r"[\w-]+", ended.stdout))
    assert json.loads(ended.stderr) == []


def test_the_package_and_its_public_names_are_listed_without_torch():
    code = "import sys, cmirnet_cli; dir(cmirnet_cli); sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_takes_under_300_milliseconds():
    """Of a processor, which is what it takes on a machine that does nothing else; the best of up to twenty tries."""
    assert any(_help_is_quick() for _ in range(20))


def _help_is_quick() -> bool:
    """Whether it is, on a processor as slow as this one is just now."""
    slowness = max(1, _processor_seconds(COUNT) / COUNT_SECONDS)
    return _processor_seconds([sys.executable, "-m", "cmirnet_cli", "--help"]) < HELP_SECONDS * slowness


def _processor_seconds(words: list[str]) -> float:
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime
