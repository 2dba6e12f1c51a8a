"""Fingerprints of text encoders and tokenizers: the same by every road, another for every change."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, CanineTokenizer, PreTrainedModel

from cmirnet_cli.batches.batch import tokenise, word_tokenizer
from cmirnet_cli.config import ModelConfig
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle, BundleConfig, load_bundle, save_bundle
from cmirnet_cli.weights.encoder import encoder_fingerprint, load_encoder, load_tokenizer, tokenizer_fingerprint


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
