"""Input and output of a graph without torch, against the program's own; which samples are taken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import AutoTokenizer

from cmirnet_cli.batches.batch import normalise, tokenise, word_tokenizer
from cmirnet_cli.config.published import IMAGENET_MEAN, IMAGENET_STD
from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.preprocessing import SentenceReader, enlarged, halves, normalised, referent_probability, spread
from cmirnet_cli.export.spec import Input

PREPARED = Input(image_size=64, mean=IMAGENET_MEAN, std=IMAGENET_STD, tokens=20)
LONG = "the very tall and quite old brown giraffe that stands on the left side behind the tree and eats from it slowly"


def test_every_value_of_every_channel_is_normalised_as_torch_does_it_bit_for_bit():
    images = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, axis=-1)[None].repeat(2, axis=0)
    assert np.array_equal(normalised(images, PREPARED), normalise(torch.from_numpy(images)).numpy())


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


@pytest.mark.parametrize("content", [None, "", "{}", "nonsense"])
def test_a_missing_or_damaged_tokenizer_is_refused_by_name(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ExportError, match=r"tokenizer\.json"):
        SentenceReader.of(tmp_path, PREPARED)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (97, 33), (64, 64), (7, 5), (1, 1), (200, 1)])
def test_enlarged_logits_are_torchs_to_a_hundred_thousandth(height: int, width: int):
    logits = np.random.default_rng(height).standard_normal((2, 64, 64)).astype(np.float32)
    expected = F.interpolate(torch.from_numpy(logits)[None], size=(height, width), mode="bilinear", align_corners=False)[0]
    found = enlarged(logits, height, width)
    assert found.dtype == np.float32
    assert np.abs(found - expected.numpy()).max() < 1e-5


def test_a_single_cell_is_the_same_everywhere():
    assert np.array_equal(enlarged(np.full((2, 1, 1), 3, np.float32), 4, 5), np.full((2, 4, 5), 3, np.float32))


def test_the_referents_probability_is_torchs_softmax():
    logits = 30 * np.random.default_rng(0).standard_normal((2, 40, 50)).astype(np.float32)
    expected = torch.softmax(torch.from_numpy(logits), dim=0)[1].numpy()
    assert np.abs(referent_probability(logits) - expected).max() < 1e-6


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [0, 5]), (5, [0, 2, 4, 6, 8]), (10, list(range(10))), (99, list(range(10)))])
def test_samples_are_taken_evenly_from_all(count: int, expected: list[int]):
    assert spread(range(10), count) == expected
    assert spread([], count) == []


def test_no_sample_calibrates_and_measures():
    calibrating, measuring = halves(range(100), 8)
    assert len(calibrating) == len(measuring) == 8
    assert not {*calibrating} & {*measuring}
    assert sorted(map(len, halves(range(3), 32))) == [1, 2]
    assert halves(range(100), 8) == (calibrating, measuring)


def test_every_expression_calibrates_and_measures_when_several_are_asked_about_each_photo():
    pairs = [(photo, expression) for photo in range(16) for expression in ("the red cup", "left person")]
    for half in halves(pairs, 16):
        assert {expression for _, expression in half} == {"the red cup", "left person"}
