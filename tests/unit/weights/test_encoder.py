"""Text encoders: from a folder, from scratch, from where there is none; and the fingerprints by which they are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, CanineTokenizer, PreTrainedModel

from cmirnet_cli.batches.batch import tokenise, word_tokenizer
from cmirnet_cli.config import ModelConfig, TextConfig
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle, BundleConfig, load_bundle, save_bundle
from cmirnet_cli.weights.encoder import (
    encoder_fingerprint,
    encoder_from_config,
    load_encoder,
    load_tokenizer,
    scratch_encoder,
    tokenizer_fingerprint,
)
from cmirnet_cli.weights.imagenet import load_start


@torch.inference_mode()
def test_folder_gives_a_text_encoder_that_knows_what_words_mean(minilm: Path):
    text = TextEncoder(load_encoder(str(minilm))).eval()
    tokens = tokenise(load_tokenizer(str(minilm)), ["a small dog", "a little puppy", "the stock market fell"], 20)
    words = text(tokens.ids, tokens.keep) * tokens.keep[..., None]
    dog, puppy, market = torch.nn.functional.normalize(words.sum(1))
    assert words.shape == (3, 20, 384)
    assert dog @ puppy > 0.6 > 0.3 > dog @ market


def test_scratch_encoder_has_the_width_and_depth_asked_for():
    tokenizer = word_tokenizer(["the red cup", "left person"])
    encoder = scratch_encoder(TextConfig(source="scratch", scratch_layers=3, scratch_heads=2, tokens=12), 24, tokenizer)
    words = TextEncoder(encoder)(torch.zeros(2, 12, dtype=torch.int64), torch.ones(2, 12, dtype=torch.bool))
    assert words.shape == (2, 12, 24)
    assert (encoder.config.num_hidden_layers, encoder.config.num_attention_heads, encoder.config.vocab_size) == (3, 2, 4 + 5)


def test_scratch_encoder_starts_with_a_sentence_state_that_differs_from_sentence_to_sentence():
    sentences = ["the red cup", "left person", "a big dog on the sofa", "blue car"]
    tokenizer = word_tokenizer(sentences)
    tokens = tokenise(tokenizer, sentences, 12)
    states = TextEncoder(scratch_encoder(TextConfig(source="scratch", tokens=12), 96, tokenizer)).eval()(tokens.ids, tokens.keep)[:, 0]
    varying = (states - states.mean(0)).square().sum() / states.square().sum()
    assert varying > 0.1  # with BERT's own start it is below 0.001


def test_encoder_is_rebuilt_from_its_recorded_configuration(minilm: Path):
    encoder = load_encoder(str(minilm))
    recorded = json.loads(json.dumps(encoder.config.to_dict()))
    rebuilt = encoder_from_config(recorded)
    assert {n: p.shape for n, p in rebuilt.named_parameters()} == {n: p.shape for n, p in encoder.named_parameters()}


@pytest.mark.parametrize("load", [load_encoder, load_tokenizer])
def test_folder_that_is_not_there_or_empty_is_refused_with_a_hint(load: object, tmp_path: Path):
    for source in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(WeightsError, match="cannot be loaded") as caught:
            load(str(source))
        assert "text.source" in caught.value.hint


@pytest.mark.parametrize("damage", ["cut short", "of another width"])
def test_folder_with_damaged_weights_is_refused_with_a_hint(tmp_path: Path, damage: str):
    config = {"vocab_size": 9, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(**config, hidden_size=24)).save_pretrained(tmp_path)
    if damage == "cut short":
        (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:-1])
    else:
        BertConfig(**config, hidden_size=32).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=r"the text encoder .* cannot be loaded") as caught:
        load_encoder(str(tmp_path))
    assert "text.source" in caught.value.hint


def test_without_the_hub_pretrained_weights_are_refused_with_a_hint_and_so_are_damaged_ones(offline: Path):
    cached = offline / "models--timm--resnet101.tv_in1k"
    for name, text in {"refs/main": "0" * 40, f"snapshots/{'0' * 40}/model.safetensors": "damaged"}.items():
        (cached / name).parent.mkdir(parents=True)
        (cached / name).write_text(text)
    config = ModelConfig(backbone="resnet50", fusion_width=32)
    network = build_network(config)
    loads = {
        "the text encoder 'nobody/no-such-encoder'": lambda: load_encoder("nobody/no-such-encoder"),
        "the tokenizer 'nobody/no-such-encoder'": lambda: load_tokenizer("nobody/no-such-encoder"),
        "the ImageNet weights resnet50.tv_in1k": lambda: load_start(network, config, "imagenet"),
        "the ImageNet weights resnet101.tv_in1k": lambda: load_start(network, ModelConfig(backbone="resnet101"), "imagenet"),
    }
    for what, load in loads.items():
        with pytest.raises(WeightsError, match=f"^{what} cannot be ") as caught:
            load()
        assert "FOLDER" in caught.value.hint or "where the hub can be reached" in caught.value.hint


def small_bert(**changes: object) -> PreTrainedModel:
    torch.manual_seed(0)
    config = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48} | changes
    return BertModel(BertConfig(**config), add_pooling_layer=False)


def test_encoder_from_a_folder_and_from_the_weights_that_hold_it_are_the_same(minilm: Path, tmp_path: Path):
    text, tokenizer = TextEncoder(load_encoder(str(minilm))), load_tokenizer(str(minilm))
    config = ModelConfig(backbone="resnet-nano", fusion_width=32, text_width=384)
    described = BundleConfig(model=config, encoder=text.encoder.config.to_dict(), tokens=20, image_size=64)
    save_bundle(Bundle(ReferringModel(build_network(config), text), tokenizer, described), tmp_path / "weights")
    kept = load_bundle(tmp_path / "weights")
    assert encoder_fingerprint(kept.model.text.encoder) == encoder_fingerprint(text.encoder)
    assert tokenizer_fingerprint(kept.tokenizer) == tokenizer_fingerprint(tokenizer)


def test_one_bit_of_one_weight_makes_another_encoder():
    encoder = small_bert()
    before = encoder_fingerprint(encoder)
    bits = encoder.encoder.layer[1].output.dense.weight.detach().view(torch.int32)
    bits[3, 5] ^= 1
    assert encoder_fingerprint(encoder) != before
    bits[3, 5] ^= 1
    assert encoder_fingerprint(encoder) == before


@pytest.mark.parametrize("change", [{"num_attention_heads": 2}, {"hidden_act": "relu"}, {"layer_norm_eps": 1e-6}])
def test_setting_that_no_weight_shows_makes_another_encoder(change: dict[str, object]):
    assert encoder_fingerprint(small_bert(**change)) != encoder_fingerprint(small_bert())


def test_weights_of_another_type_make_another_encoder():
    assert encoder_fingerprint(small_bert().half()) != encoder_fingerprint(small_bert())


def test_place_and_mode_do_not_make_another_encoder():
    encoder = small_bert()
    before = encoder_fingerprint(encoder)
    encoder.train().config.name_or_path = "elsewhere"
    encoder.requires_grad_(False)
    assert encoder_fingerprint(encoder) == before


def test_tokenizer_is_known_by_its_words_and_rules():
    ours = tokenizer_fingerprint(word_tokenizer(["the red cup"]))
    assert tokenizer_fingerprint(word_tokenizer(["cup red the"])) == ours
    assert tokenizer_fingerprint(word_tokenizer(["the blue cup"])) != ours


def test_using_a_tokenizer_does_not_make_it_another(minilm: Path):
    tokenizer = load_tokenizer(str(minilm))
    before = tokenizer_fingerprint(tokenizer)
    tokenise(tokenizer, ["a small dog"], 20)
    tokenizer(["a small dog"], padding="max_length", truncation=True, max_length=9)
    assert tokenizer_fingerprint(tokenizer) == before


def test_tokenizer_of_python_code_is_refused_by_name():
    with pytest.raises(WeightsError, match="the tokenizer CanineTokenizer has no definition that can be compared"):
        tokenizer_fingerprint(CanineTokenizer())
