"""Without a network: one error within seconds, nothing else, and the local way in its hint."""

import json
import os
import shlex
import socket
import subprocess
import sys

import pytest
from PIL import Image

LINES = {
    "train --backbone swin-b --batch-size 2": (
        "the text encoder google-bert/bert-base-uncased and the ImageNet weights swin_base_patch4_window12_384.ms_in22k cannot be fetched",
        "--set text.source=FOLDER; run `hf download timm/swin_base_patch4_window12_384.ms_in22k --local-dir FOLDER`",
    ),
    "train --backbone swin-b --batch-size 2 --set text.source=scratch": (
        "the ImageNet weights swin_base_patch4_window12_384.ms_in22k cannot be fetched",
        "--backbone-weights FILE",
    ),
    "train --backbone swin-b --batch-size 2 --init-from org/name": ("the repository org/name cannot be fetched", "FOLDER in its place"),
    "eval org/name": ("there is no folder org/name, and the repository org/name cannot be fetched", "FOLDER in its place"),
    "predict org/name photo.png -e cup": ("the repository org/name cannot be fetched", "FOLDER in its place"),
    "predict official.pth photo.png -e cup": (
        "the tokenizer google-bert/bert-base-uncased cannot be fetched",
        "--tokenizer FOLDER",
    ),
    "convert official.pth out --tokenizer org/name": ("the tokenizer org/name cannot be fetched", "--tokenizer FOLDER"),
    "export org/name": ("the repository org/name cannot be fetched", "FOLDER in its place"),
    "cache-features cache": ("the text encoder google-bert/bert-base-uncased cannot be fetched", "--set text.source=FOLDER"),
    "cache-features cache --weights org/name": ("the repository org/name cannot be fetched", "FOLDER in its place"),
    "benchmark infer org/name": ("the repository org/name cannot be fetched", "FOLDER in its place"),
    "prepare-data hf://datasets/org/name": ("hf://datasets/org/name cannot be fetched", "--repo-type dataset"),
}
TELL = """
import json, os, sys
from cmirnet_cli.app import run
for words in json.loads(sys.argv[1]):
    code = run(words)
    print(f"ended with {code}, torch {'torch' in sys.modules}", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a photograph and a cache as large as the published recipe needs."""
    folder = tmp_path_factory.mktemp("offline")
    Image.new("RGB", (40, 30), "red").save(folder / "photo.png")
    (folder / "official.pth").write_bytes(b"PK\x03\x04, which is how those of PyTorch begin")
    line = {"image": "photo.png", "expression": "the red cup", "polygons": [[2, 2, 20, 2, 20, 20]]}
    lines = [json.dumps(line | {"split": split}) for split in ("train", "train", "val")]
    (folder / "mine.jsonl").write_text("\n".join(lines))
    words = [sys.executable, "-m", "cmirnet_cli", "prepare-data", "mine.jsonl", "--for", "swin-b", "--quiet"]
    subprocess.run(words, cwd=folder, check=True)
    return folder


@pytest.fixture(params=["refused", "silent", "switched off"])
def network(request, tmp_path):
    """The environment of a process whose hub refuses connections, takes them and never answers, or is not to be asked."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if request.param == "silent":
            listening.listen()
        offline = {"HF_HUB_OFFLINE": "1"} if request.param == "switched off" else {}
        yield {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), **offline}


def test_what_would_have_to_be_fetched_is_one_error_with_the_local_way_in(place, network):
    words = [sys.executable, "-c", TELL, json.dumps([shlex.split(line) for line in LINES])]
    ended = subprocess.run(words, cwd=place, env=network, check=True, capture_output=True, text=True)
    said = iter(ended.stderr.splitlines())
    for line, (what, way) in LINES.items():
        error, hint, end = next(said), next(said), next(said)
        assert error.startswith("error: "), line
        assert what in error
        assert hint.startswith("hint: ")
        assert way in hint
        assert "HF_HUB_OFFLINE" in hint
        assert end == f"ended with {3 if 'datasets' in line else 4}, torch False"
    assert list(said) == []
