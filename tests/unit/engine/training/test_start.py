"""What a run starts from when it is given weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet50

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings, TextConfig
from cmirnet_cli.engine.training.start import starting_bundle
from cmirnet_cli.errors import ConfigError, WeightsError
from cmirnet_cli.weights.bundle import save_bundle

RECIPE = {
    "model": {"backbone": "swin-nano", "fusion_width": 32, "text_width": 24},
    "text": {"source": "scratch", "scratch_layers": 3},
    "data": {"image_size": 64, "resize": 72, "workers": 0},
    "loop": {"batch_size": 2, "precision": "fp32"},
}


def settings(**changes: dict[str, object]) -> Settings:
    return Settings.model_validate(RECIPE | {name: RECIPE.get(name, {}) | values for name, values in changes.items()})


@pytest.fixture
def given(small_cache: Cache, tmp_path: Path) -> Path:
    save_bundle(starting_bundle(settings(loop={"seed": 7}), small_cache), tmp_path / "given")
    return tmp_path / "given"


def test_everything_starts_from_the_given_weights(small_cache: Cache, given: Path):
    lines: list[str] = []
    bundle = starting_bundle(settings(loop={"seed": 1, "init_from": str(given)}), small_cache, lines.append)
    other = starting_bundle(settings(loop={"seed": 7}), small_cache)
    assert all(torch.equal(value, other.model.state_dict()[name]) for name, value in bundle.model.state_dict().items())
    assert bundle.tokenizer.get_vocab() == other.tokenizer.get_vocab()
    assert lines == [f"starting from {given}, trained on drawn-made"]


def test_another_text_encoder_than_that_of_the_weights_is_said_not_to_be_used(small_cache: Cache, given: Path):
    lines: list[str] = []
    starting_bundle(settings(text={"source": "roberta-base"}, loop={"init_from": str(given)}), small_cache, lines.append)
    assert lines[0] == f"{given} has its own text encoder and tokenizer; roberta-base is not used"


def test_what_is_trained_follows_the_settings_and_not_the_weights(small_cache: Cache, given: Path):
    bundle = starting_bundle(settings(text={"train": "none", "dropout": True}, loop={"init_from": str(given)}), small_cache)
    assert not any(parameter.requires_grad for parameter in bundle.model.text.parameters())
    assert all(parameter.requires_grad for parameter in bundle.model.network.parameters())
    assert bundle.model.text.dropout


def test_stochastic_depth_may_differ(small_cache: Cache, given: Path):
    bundle = starting_bundle(settings(model={"drop_path": 0.1}, loop={"init_from": str(given)}), small_cache)
    assert bundle.model.network.stages[-1].blocks[-1].drop_path.rate == pytest.approx(0.1)
    assert bundle.config.model.drop_path == 0.1


@pytest.mark.parametrize(
    ("name", "value", "was"),
    [("backbone", "resnet-nano", "swin-nano"), ("fusion_width", 64, 32), ("text_width", 48, 24), ("graph_neighbours", 5, 9)],
)
def test_setting_that_contradicts_the_weights_is_named(small_cache: Cache, given: Path, name: str, value: object, was: object):
    with pytest.raises(ConfigError, match=f"model.{name} is {was} there and {value} here") as caught:
        starting_bundle(settings(model={name: value}, loop={"init_from": str(given)}), small_cache)
    assert f"--set model.{name}={was}" in caught.value.hint


def test_longer_sentences_than_the_text_encoder_reads_are_refused(small_cache: Cache, given: Path):
    with pytest.raises(ConfigError, match=r"text\.tokens is 30.*at most 20"):
        starting_bundle(settings(text={"tokens": 30}, loop={"init_from": str(given)}), small_cache)


def test_weights_and_a_trunk_file_cannot_both_be_given():
    with pytest.raises(ValueError, match=r"loop\.init_from \(a\) brings the whole network: loop\.backbone_weights \(b\)"):
        settings(loop={"init_from": "a", "backbone_weights": "b"})


def test_weights_that_are_not_there_are_refused(small_cache: Cache, tmp_path: Path):
    with pytest.raises(WeightsError, match="no weights at"):
        starting_bundle(settings(loop={"init_from": str(tmp_path / "nowhere")}), small_cache)


def test_trunk_file_is_reported_entry_by_entry(small_cache: Cache, tmp_path: Path):
    torch.save(resnet50(weights=None).state_dict(), tmp_path / "resnet50.pth")
    lines: list[str] = []
    loop = {"backbone_weights": str(tmp_path / "resnet50.pth")}
    starting_bundle(settings(model={"backbone": "resnet50"}, loop=loop), small_cache, lines.append)
    assert lines == [f"backbone from {tmp_path / 'resnet50.pth'}: 318 entries used, 2 ignored (fc.bias, fc.weight), 0 missing"]


def test_the_network_is_as_wide_as_the_text_encoder_speaks_unless_that_is_set(small_cache: Cache, minilm: Path):
    free = Settings.model_validate({"model": {"backbone": "swin-nano", "fusion_width": 32}, "data": RECIPE["data"], "loop": RECIPE["loop"]})
    chosen = free.model_copy(update={"text": TextConfig(source=str(minilm), train="none")})
    bundle = starting_bundle(chosen, small_cache)
    assert (bundle.config.model.text_width, bundle.config.sentence) == (384, "cls")
    assert bundle.model.network.graph.text_nodes.in_channels == 384
    with pytest.raises(ConfigError, match=r"gives 384 channels, model\.text_width is 24"):
        starting_bundle(settings(text={"source": str(minilm)}), small_cache)
    with pytest.raises(ConfigError, match=r"text\.tokens is 600, the text encoder .* reads at most 512") as caught:
        starting_bundle(chosen.model_copy(update={"text": TextConfig(source=str(minilm), tokens=600)}), small_cache)
    assert caught.value.hint == "use --set text.tokens=512 or less"


def test_the_place_of_the_sentence_is_kept_from_settings_to_weights_and_on(small_cache: Cache, tmp_path: Path):
    save_bundle(starting_bundle(settings(text={"sentence": "mean"}), small_cache), tmp_path / "mean")
    for place, chosen in (("mean", "auto"), ("cls", "cls")):
        again = settings(text={"sentence": chosen}, loop={"init_from": str(tmp_path / "mean")})
        assert starting_bundle(again, small_cache).config.sentence == place


def test_a_text_beside_the_trunk_is_said(small_cache: Cache):
    lines: list[str] = []
    starting_bundle(settings(model={"backbone": "timm/test_vit"}, loop={"backbone_weights": "none"}), small_cache, lines.append)
    assert lines == ["text is fused beside timm/test_vit, not within it: its stages cannot be taken apart"]


def test_weights_of_a_transformer_for_another_size_are_refused(small_cache: Cache, tmp_path: Path):
    start = {"backbone_weights": "none"}
    save_bundle(starting_bundle(settings(model={"backbone": "timm/test_vit"}, loop=start), small_cache), tmp_path / "vit")
    larger = settings(model={"backbone": "timm/test_vit"}, data={"image_size": 96, "resize": 96}, loop={"init_from": str(tmp_path / "vit")})
    with pytest.raises(ConfigError, match=r"are of 64 px and do not fit timm/test_vit at 96 px"):
        starting_bundle(larger, small_cache)
