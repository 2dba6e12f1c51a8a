"""The text encoder of an official checkpoint, and what is said about checkpoints that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.checkpoint import state_dict
from cmirnet_cli.weights.conversion import convert_checkpoint, read_official
from cmirnet_cli.weights.encoder import encoder_from_config
from cmirnet_cli.weights.official import convert_text

SIZES = {
    "vocab_size": 40,
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
}
TOKENIZER = word_tokenizer(["the red cup", "left person"])


@pytest.fixture(scope="module")
def bert() -> BertModel:
    torch.manual_seed(0)
    return BertModel(BertConfig(**SIZES)).eval()


@pytest.fixture
def official_text(bert: BertModel) -> dict[str, Tensor]:
    """As the authors' code saves it: with a pooler, and with the counter that transformers kept in those years."""
    return bert.state_dict() | {"embeddings.position_ids": torch.arange(24).expand(1, -1)}


@pytest.fixture
def official_network(shared_fixtures: Path) -> dict[str, Tensor]:
    shapes = json.loads((shared_fixtures / "resnet50-224.shapes.json").read_text())
    return {name: torch.tensor(0.0).expand(shape) for name, shape in shapes.items()}


def test_a_file_that_is_no_official_checkpoint_is_refused_before_a_tokenizer_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    torch.save({"model": {}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth: this is not an official checkpoint: it has no bert_model"):
        read_official(tmp_path / "other.pth", "nobody/nothing")
    torch.save({"model": {}, "bert_model": {}}, tmp_path / "official.pth")
    with pytest.raises(WeightsError, match="tokenizer nobody/nothing cannot be fetched: HF_HUB_OFFLINE is set"):
        read_official(tmp_path / "official.pth", "nobody/nothing")


def test_architecture_is_told_from_the_shapes(official_text: dict[str, Tensor]):
    config = convert_text(official_text).config
    assert {name: config[name] for name in SIZES} == SIZES
    assert (config["hidden_act"], config["layer_norm_eps"]) == ("gelu", 1e-12)


@torch.inference_mode()
def test_converted_encoder_gives_berts_hidden_states_bit_for_bit(bert: BertModel, official_text: dict[str, Tensor]):
    converted = convert_text(official_text)
    encoder = encoder_from_config(converted.config).eval()
    encoder.pooler = None
    encoder.load_state_dict(converted.state, strict=True)
    ids, keep = torch.randint(0, 40, (2, 20)), torch.arange(20).repeat(2, 1) < torch.tensor([[20], [7]])
    expected = bert(input_ids=ids, attention_mask=keep.long()).last_hidden_state
    assert torch.equal(encoder(input_ids=ids, attention_mask=keep.long()).last_hidden_state, expected)


def test_pooler_and_counters_are_dead_and_all_else_is_used(official_text: dict[str, Tensor]):
    account = convert_text(official_text).account
    assert account.dead == ("embeddings.position_ids", "pooler.dense.bias", "pooler.dense.weight")
    assert {*account.used, *account.dead} == official_text.keys()
    assert account.duplicate == ()


def test_dead_entries_may_be_missing(official_text: dict[str, Tensor]):
    alive = {name: value for name, value in official_text.items() if not name.startswith("pooler") and not name.endswith("_ids")}
    assert convert_text(alive).account.dead == ()


@pytest.mark.parametrize(
    "name",
    ["embeddings.word_embeddings.weight", "encoder.layer.1.attention.self.key.bias", "encoder.layer.0.intermediate.dense.weight"],
)
def test_missing_entry_is_refused_by_name(official_text: dict[str, Tensor], name: str):
    del official_text[name]
    with pytest.raises(WeightsError, match=f"`bert_model` state dict is missing entries: {name}$") as caught:
        convert_text(official_text)
    assert "`bert_model`" in caught.value.hint


@pytest.mark.parametrize("name", ["encoder.layer.0.adapter.weight", "cls.predictions.bias", "pooler.extra"])
def test_unknown_entry_is_refused_by_name(official_text: dict[str, Tensor], name: str):
    with pytest.raises(WeightsError, match=f"has unknown entries: {name}$"):
        convert_text(official_text | {name: torch.ones(1)})


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("encoder.layer.2.output.dense.weight", (128, 95)),
        ("embeddings.LayerNorm.weight", (127,)),
        ("embeddings.word_embeddings.weight", (40,)),
        ("embeddings.position_embeddings.weight", (24, 64)),
    ],
)
def test_entry_that_fits_no_other_is_refused_by_name(official_text: dict[str, Tensor], name: str, shape: tuple[int, ...]):
    with pytest.raises(WeightsError, match=f"shapes that do not fit each other: {name}$"):
        convert_text(official_text | {name: torch.ones(shape)})


def test_width_that_no_heads_of_64_make_up_is_refused(official_text: dict[str, Tensor]):
    with pytest.raises(WeightsError, match="100 channels wide"):
        convert_text(official_text | {"embeddings.word_embeddings.weight": torch.ones(40, 100)})


def test_text_encoder_of_another_width_than_the_networks_is_refused(official_network: dict[str, Tensor], official_text: dict[str, Tensor]):
    with pytest.raises(WeightsError, match="words of 768 channels, its text encoder gives 128"):
        convert_checkpoint({"model": official_network, "bert_model": official_text}, TOKENIZER)


def test_tokenizer_of_another_text_encoder_is_refused_with_both_sizes(official_network: dict[str, Tensor]):
    text = BertModel(BertConfig(vocab_size=40, num_hidden_layers=1, intermediate_size=8)).state_dict()
    with pytest.raises(WeightsError, match=r"knows 9 words, the text encoder 40") as caught:
        convert_checkpoint({"model": official_network, "bert_model": text}, TOKENIZER)
    assert "--tokenizer" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: parts | {"ema": {}}, "has unknown entries: ema$"),
        (lambda parts: {"model": parts["model"]}, "has no bert_model, but model$"),
        (lambda parts: parts["model"], r"has no model and no bert_model, but (\S+, ){7}\S+ and \d+ more$"),
        (list, r"this is not an official checkpoint \(it is a list\)$"),
        (lambda parts: parts | {"model": {}}, "`model` is not a state dict: it is an empty dict$"),
        (lambda parts: parts | {"bert_model": {"w": 1}}, "`bert_model` is not a state dict: under 'w' is something of type int$"),
    ],
    ids=["surprise", "no text", "bare state dict", "list", "empty", "no tensors"],
)
def test_what_is_no_official_checkpoint_is_refused_with_what_it_holds(
    official_network: dict[str, Tensor], official_text: dict[str, Tensor], change: Callable[[dict], object], message: str
):
    with pytest.raises(WeightsError, match=message) as caught:
        convert_checkpoint(change({"model": official_network, "bert_model": official_text}), TOKENIZER)
    assert caught.value.hint


def test_data_parallel_prefix_is_dropped_from_a_state_dict():
    assert list(state_dict({"module.conv.weight": torch.ones(1)}, "`model`")) == ["conv.weight"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "something of type NoneType"),
        ([torch.ones(1)], "something of type list"),
        ({}, "an empty dict"),
        ({"w": [1.0]}, "under 'w' is something of type list"),
        ({3: torch.ones(1)}, "under '3' is something of type Tensor"),
    ],
)
def test_what_is_no_state_dict_is_refused_with_what_it_is(value: object, said: str):
    with pytest.raises(WeightsError, match="`model` is not a state dict") as caught:
        state_dict(value, "`model`")
    assert said in caught.value.message
