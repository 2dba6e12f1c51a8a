"""The text encoder: what of it trains, and how it behaves while the rest does."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder

IDS = torch.tensor([[2, 7, 9, 3, 0, 0], [2, 8, 3, 0, 0, 0]])
KEEP = IDS > 0


def bert(layers: int = 2) -> BertModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 20}
    return BertModel(BertConfig(vocab_size=30, num_hidden_layers=layers, **sizes))


def trained_parts(text: TextEncoder) -> set[str]:
    """Layer numbers, and the names of whatever else is trained."""
    names = [name.split(".") for name, parameter in text.encoder.named_parameters() if parameter.requires_grad]
    return {parts[parts.index("layer") + 1] if "layer" in parts else parts[0] for parts in names}


def test_words_are_the_encoders_last_hidden_state():
    encoder = bert().eval()
    expected = encoder(input_ids=IDS, attention_mask=KEEP.int()).last_hidden_state
    torch.testing.assert_close(TextEncoder(encoder).eval()(IDS, KEEP), expected, atol=0, rtol=0)


def test_pooler_is_gone():
    assert not [name for name in TextEncoder(bert()).state_dict() if "pooler" in name]


def test_encoder_has_no_dropout_while_training():
    text = TextEncoder(bert()).train()
    torch.testing.assert_close(text(IDS, KEEP), text.eval()(IDS, KEEP), atol=0, rtol=0)


def test_encoder_has_dropout_while_training_if_asked():
    text = TextEncoder(bert(), dropout=True).train()
    assert not torch.equal(text(IDS, KEEP), text(IDS, KEEP))
    assert torch.equal(text.eval()(IDS, KEEP), text(IDS, KEEP))


def test_training_the_whole_model_leaves_the_encoder_in_eval_mode():
    network = build_network(ModelConfig(backbone="swin-nano", fusion_width=32, text_width=24))
    model = ReferringModel(network, TextEncoder(bert())).train()
    assert model.network.training
    assert not any(module.training for module in model.text.encoder.modules())


def test_published_training_takes_all_layers_but_the_last_two_and_no_embeddings():
    text = TextEncoder(bert(layers=12))
    text.choose_trained("published")
    assert trained_parts(text) == {str(layer) for layer in range(10)}


def test_published_training_of_an_encoder_without_a_third_layer_from_the_end_is_refused():
    with pytest.raises(ConfigError, match=r"text.train \(published\) trains nothing of an encoder of 2 layers"):
        TextEncoder(bert(layers=2)).choose_trained("published")


def test_whole_encoder_or_nothing_of_it_can_be_trained():
    text = TextEncoder(bert(layers=3))
    text.choose_trained("none")
    assert trained_parts(text) == set()
    text.choose_trained("all")
    assert trained_parts(text) == {"0", "1", "2", "embeddings"}


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_encoder_runs_in_full_precision_inside_autocast(precision: torch.dtype):
    network = build_network(ModelConfig(backbone="swin-nano", fusion_width=32, text_width=24))
    model = ReferringModel(network, TextEncoder(bert())).eval()
    expected = model.encode_text(IDS, KEEP)
    with torch.autocast("cpu", precision):
        assert torch.equal(model.encode_text(IDS, KEEP), expected)


@torch.inference_mode()
def test_referring_model_gives_the_first_word_as_sentence():
    network = build_network(ModelConfig(backbone="swin-nano", fusion_width=32, text_width=24, graph_neighbours=3))
    model = ReferringModel(network, TextEncoder(bert())).eval()
    image = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    words = model.encode_text(IDS, KEEP)
    assert torch.equal(model(image, IDS, KEEP).main, network(image, words, KEEP, words[:, 0]).main)
