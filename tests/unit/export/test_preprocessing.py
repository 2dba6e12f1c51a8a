"""Input without torch, against the program's own preparation of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer

from cmirnet_cli.batches.batch import IMAGENET_MEAN, IMAGENET_STD, normalise, tokenise, word_tokenizer
from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.preprocessing import SentenceReader, normalised
from cmirnet_cli.export.spec import Input
from cmirnet_cli.images.pixels import resized

PREPARED = Input(image_size=64, mean=IMAGENET_MEAN, std=IMAGENET_STD, tokens=20)
LONG = "the very tall and quite old brown giraffe that stands on the left side behind the tree and eats from it slowly"


def test_every_value_of_every_channel_is_normalised_as_torch_does_it_bit_for_bit():
    images = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, axis=-1)[None].repeat(2, axis=0)
    assert np.array_equal(normalised(images, PREPARED), normalise(torch.from_numpy(images)).numpy())


def test_an_image_is_resized_as_pil_resizes_it():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize((64, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(resized(pixels, 32, 64), np.asarray(expected))


@pytest.fixture(scope="module")
def berts(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT's tokenizer as an export writes it."""
    folder = tmp_path_factory.mktemp("bert")
    AutoTokenizer.from_pretrained(minilm).save_pretrained(folder)
    return folder


def test_sentences_are_read_as_transformers_reads_them(berts: Path):
    texts = ["the red cup", "", "a giraffe, eating (leaves) from a tree!", LONG, "🍎", "naïve Café", "[SEP] [MASK]", "a\tb\nc", "x" * 500]
    expected = tokenise(AutoTokenizer.from_pretrained(berts), texts, 20)
    found = SentenceReader.of(berts, PREPARED).read(texts)
    assert found.ids.dtype == found.mask.dtype == np.int64
    assert np.array_equal(found.ids, expected.ids.numpy())
    assert np.array_equal(found.mask.astype(bool), expected.keep.numpy())


@pytest.mark.parametrize("dataset", ["mini_refcocog", "coco128"])
def test_ids_of_real_expressions_are_the_official_ones(shared_fixtures: Path, berts: Path, dataset: str):
    reader = SentenceReader.of(berts, PREPARED)
    for sample in json.loads((shared_fixtures / "samples.json").read_text())[dataset]:
        found = reader.read(sample["raw"])
        assert found.ids.tolist() == sample["input_ids"]
        assert found.mask.tolist() == sample["attention_mask"]


def test_sentences_of_more_than_twenty_ids_are_too_long(berts: Path):
    fitting = " ".join(["cup"] * 18)
    assert SentenceReader.of(berts, PREPARED).too_long(["cup", fitting, f"{fitting} cup", LONG]) == [f"{fitting} cup", LONG]


def test_what_a_tokenizer_was_set_to_cut_and_pad_when_it_was_saved_does_not_matter(tmp_path: Path):
    tokenizer = word_tokenizer(["the red cup"])
    whole = tokenizer.encode("the red cup")
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(3)
    backend.enable_padding(length=7)
    backend.save(str(tmp_path / "tokenizer.json"))
    found = SentenceReader.of(tmp_path, PREPARED).read(["the red cup"])
    assert found.ids[0, found.mask[0] == 1].tolist() == whole
    assert not found.ids[0, found.mask[0] == 0].any()


@pytest.mark.parametrize("content", ["", "{}", "nonsense"])
def test_a_damaged_tokenizer_is_refused_by_name(tmp_path: Path, content: str):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ExportError, match=r"tokenizer\.json"):
        SentenceReader.of(tmp_path, PREPARED)


def test_a_missing_tokenizer_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ExportError, match=r"tokenizer\.json"):
        SentenceReader.of(tmp_path, PREPARED)
