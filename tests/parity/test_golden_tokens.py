"""Token ids of real expressions, against the official data set's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from cmirnet_cli.batches.batch import tokenise


@pytest.mark.parametrize("dataset", ["mini_refcocog", "coco128"])
def test_token_ids_of_real_expressions_are_the_official_ones(shared_fixtures: Path, minilm: Path, dataset: str):
    samples = json.loads((shared_fixtures / "samples.json").read_text())[dataset]
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    for sample in samples:
        tokens = tokenise(tokenizer, sample["raw"], 20)
        assert tokens.ids.tolist() == sample["input_ids"]
        assert tokens.keep.int().tolist() == sample["attention_mask"]
