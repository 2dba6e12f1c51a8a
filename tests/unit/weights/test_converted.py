"""Official checkpoints that are kept as weights folders: what a conversion leaves that comes to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.converted import HOME, converted


def test_conversion_that_fails_leaves_neither_a_folder_nor_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(HOME, str(tmp_path / "home"))
    checkpoint = tmp_path / "cut.pth"
    torch.save({"model": {"conv_2_1.weight": torch.zeros(2, 512, 3, 3)}, "bert_model": {}}, checkpoint)
    word_tokenizer(["the red cup"]).save_pretrained(tmp_path / "words")
    with pytest.raises(WeightsError):
        converted(checkpoint, str(tmp_path / "words"), lambda line: None)
    assert list((tmp_path / "home" / "weights").iterdir()) == []


LOOKED_FOR = """
import sys
import os
import subprocess
import sys
from pathlib import Path
from cmirnet_cli.weights.converted import converted_before

sys.addaudithook(lambda event, words: print(words[0]) if event == "open" else None)
print(converted_before(Path(sys.argv[1]), "org/words"))
"""


def test_a_checkpoint_is_not_read_while_no_conversion_is_of_its_size(tmp_path: Path):
    """Official files have more than a gigabyte, and a refusal must come soon."""
    checkpoint, kept = tmp_path / "official.pth", tmp_path / "home" / "weights"
    checkpoint.write_bytes(b"0" * 100)
    for size, opened in (("65", False), ("64", True)):
        folder = kept / f"other-{size}-0123456789abcdef"
        folder.mkdir(parents=True)
        command = [sys.executable, "-c", LOOKED_FOR, str(checkpoint)]
        said = subprocess.run(command, env=os.environ | {HOME: str(tmp_path / "home")}, capture_output=True, text=True, check=True).stdout
        assert said.splitlines()[-1] == "None"
        assert (str(checkpoint) in said) == opened, f"a conversion of 0x{size} bytes"
