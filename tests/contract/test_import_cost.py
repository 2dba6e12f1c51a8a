"""The command line starts fast: help needs none of the heavy libraries. Measured in processes of their own."""

import json
import os
import re
import subprocess
import sys

import pytest

from cmirnet_cli.app import COMMANDS

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "accelerate",
    "h5py",
    "numpy",
    "PIL",
    "pycocotools",
    "onnxruntime",
    "nicegui",
    "ray",
)

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


COUNT_CALLS = """
import cProfile, io, pstats, sys
shown, sys.stdout = sys.stdout, io.StringIO()
work = cProfile.Profile()
try:
    work.run(sys.argv[1])
except SystemExit:
    pass
words, sys.stdout = sys.stdout.getvalue(), shown
assert "--help" in words, words
print(pstats.Stats(work).total_calls)
"""
EMPTY = """
import typer
app = typer.Typer()
app.command("one")(lambda: None)
app.command("other")(lambda: None)
app(["--help"])
"""
OURS = """
from cmirnet_cli.app import run
run(["--help"])
"""


def test_help_costs_less_than_twice_that_of_an_application_of_two_empty_commands():
    """In calls of functions, importing included: the same on a slow machine as on a fast one, and on a busy one."""
    assert _calls(OURS) < 2 * _calls(EMPTY)


def _calls(code: str) -> int:
    return int(subprocess.run([sys.executable, "-c", COUNT_CALLS, code], check=True, capture_output=True, text=True).stdout)
