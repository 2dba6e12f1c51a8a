"""Text encoders: from a folder, from scratch, from where there is none; and the fingerprints by which they are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BertConfig, BertModel, CanineTokenizer, PreTrainedModel

from cmirnet_cli.batches.batch import tokenise, word_tokenizer
from cmirnet_cli.config import ModelConfig, TextConfig
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle, BundleConfig, load_bundle, save_bundle
from cmirnet_cli.weights.encoder import (
    embedding_rows,
    encoder_fingerprint,
    encoder_from_config,
    load_encoder,
    load_tokenizer,
    require_vocabulary,
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


SMALL = {"vocab_size": 9, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a small BERT in several files, and its tokenizer."""
    folder = tmp_path / "small"
    BertModel(BertConfig(**SMALL)).save_pretrained(folder, max_shard_size="4KB")
    word_tokenizer(["the red cup", "left person"]).save_pretrained(folder)
    return folder


def as_one_file(folder: Path, name: str, change: Callable[[dict[str, Tensor]], object] = lambda state: state) -> Path:
    """The same weights in one file, changed."""
    state = {name: tensor for shard in sorted(folder.glob("model-*")) for name, tensor in load_file(shard).items()}
    for path in folder.glob("model*"):
        path.unlink()
    changed = change(state)
    torch.save(changed, folder / name) if name.endswith(".bin") else save_file(changed, folder / name)
    return folder


def no_encoder(folder: Path) -> str:
    with pytest.raises(WeightsError, match=f"the text encoder '{folder}' cannot be loaded: ") as caught:
        load_encoder(str(folder))
    assert "text.source" in caught.value.hint
    assert "\n" not in caught.value.message
    assert "weights_only" not in caught.value.message
    return caught.value.message


def test_encoder_in_several_files_is_read_whole_and_one_without_a_pooler_too(small: Path):
    sharded = load_encoder(str(small)).state_dict()
    without = as_one_file(small, "model.safetensors", lambda state: {n: t for n, t in state.items() if not n.startswith("pooler")})
    single = load_encoder(str(without)).state_dict()
    assert all(torch.equal(sharded[name], single[name]) for name in sharded if not name.startswith("pooler"))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_encoder_in_half_precision_computes_in_full(small: Path, name: str):
    folder = as_one_file(small, name, lambda state: {n: t.half() for n, t in state.items()})
    assert {tensor.dtype for tensor in load_encoder(str(folder)).parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("embeddings.word_embeddings.weight", "1 of its entries are missing from its files: embeddings.word_embeddings.weight"),
        ("encoder.layer.1.", "16 of its entries are missing from its files: encoder.layer.1.attention.output.LayerNorm.bias, "),
    ],
)
def test_missing_entries_are_counted_and_the_first_are_named(small: Path, name: str, lost: str, named: str):
    assert named in no_encoder(as_one_file(small, name, lambda state: {n: t for n, t in state.items() if not n.startswith(lost)}))


def test_config_of_another_architecture_is_refused(small: Path):
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(config | {"model_type": "distilbert"}))
    assert "32 of its entries are missing from its files: transformer.layer.0." in no_encoder(small)
    (small / "config.json").write_text(json.dumps({"model_type": "vit"}))
    no_encoder(small)


def test_config_of_another_size_is_refused_with_both_shapes(small: Path):
    BertConfig(**SMALL | {"hidden_size": 32}).save_pretrained(small)
    assert "entries have another shape than its config.json says: embeddings.LayerNorm.bias (24,) instead of (32,)" in no_encoder(small)


@pytest.mark.parametrize("damage", ["cut short", "a part is missing", "is a list", "cut short pickle", "of code"])
def test_damaged_weights_of_an_encoder_are_refused(small: Path, damage: str):
    shards = sorted(small.glob("model-*"))
    if damage == "cut short":
        shards[1].write_bytes(shards[1].read_bytes()[:-1])
    elif damage == "a part is missing":
        shards[1].unlink()
    elif damage == "is a list":
        as_one_file(small, "pytorch_model.bin", lambda state: [1, 2])
    else:
        path = as_one_file(small, "pytorch_model.bin", lambda state: state | {"x": Path("x")}) / "pytorch_model.bin"
        if damage == "cut short pickle":
            path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(WeightsError) as caught:
        load_encoder(str(small))
    assert caught.value.hint
    assert ("is refused: it asks for 'pathlib" in caught.value.message) == (damage == "of code")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"model": {"type": "Nope", "vocab": {}}}', "{"])
def test_damaged_tokenizer_is_refused(small: Path, text: str):
    (small / "tokenizer.json").write_text(text)
    with pytest.raises(WeightsError, match=f"the tokenizer '{small}' cannot be loaded: ") as caught:
        load_tokenizer(str(small))
    assert "text.source" in caught.value.hint


@pytest.mark.parametrize(
    ("rows", "fits"), [(9, True), (8, False), (10, False), (23, False)], ids=["equal", "one too few", "one too many", "many too many"]
)
def test_tokenizer_must_have_as_many_words_as_its_encoder_has_rows(small: Path, rows: int, fits: bool):
    tokenizer = load_tokenizer(str(small))
    assert len(tokenizer) == 9
    if fits:
        require_vocabulary(tokenizer, rows, "hint")
    else:
        with pytest.raises(WeightsError, match=f"the tokenizer {small} knows 9 words, the text encoder {rows}$"):
            require_vocabulary(tokenizer, rows, "hint")


def test_large_vocabulary_may_leave_a_few_rows_to_spare_and_no_more():
    tokenizer = word_tokenizer([" ".join(f"w{n}" for n in range(996))])
    require_vocabulary(tokenizer, 1008, "as many models have it, rounded up")
    for rows in (999, 1030):
        with pytest.raises(WeightsError, match=f"knows 1,000 words, the text encoder {rows:,}"):
            require_vocabulary(tokenizer, rows, "hint")


@pytest.mark.parametrize("kept", [["config.json"], ["config.json", "tokenizer_config.json"]])
def test_folder_without_a_vocabulary_is_named_as_such(tmp_path: Path, kept: list[str]):
    BertModel(BertConfig(**SMALL)).save_pretrained(tmp_path)
    if "tokenizer_config.json" in kept:
        (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    tokenizer = load_tokenizer(str(tmp_path))
    with pytest.raises(WeightsError, match=r"knows 5 words, the text encoder 9: the folder holds no tokenizer\.json and no vocab\.txt"):
        require_vocabulary(tokenizer, embedding_rows(load_encoder(str(tmp_path))), "hint")


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
