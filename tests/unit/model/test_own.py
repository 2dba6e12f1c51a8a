"""A network of one's own: where it is found, what it must give, and what the harness does with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cmirnet_cli.config import ModelConfig
from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.fast.optimizations import applicable
from cmirnet_cli.model.features import ImageFeatures, Logits
from cmirnet_cli.model.own import imported
from cmirnet_cli.model.recompute import recompute_activations


class Plain(nn.Module):
    """The mean of image and words, whatever they say."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.width = config.text_width
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, image: Tensor, words: Tensor, keep: Tensor, sentence: Tensor) -> Logits:
        main = image[:, :2] * self.scale + words.mean() + sentence.mean()
        return Logits(main, [main + 1])


class Parted(Plain):
    """The same in two parts; counts how often it looked at an image."""

    looked = 0

    def encode_image(self, image: Tensor) -> list[Tensor]:
        self.looked += 1
        return [image[:, :2] * self.scale, image[:, 2:]]

    def decode(self, maps: list[Tensor], words: Tensor, keep: Tensor, sentence: Tensor) -> Logits:
        main = maps[0] + words.mean() + sentence.mean()
        return Logits(main, [main + 1])


class Helped(Plain):
    """Has a helper of the name `encode_image`, and no `decode`."""

    def encode_image(self, image: Tensor) -> Tensor:
        return image[:, :2] * self.scale

    def forward(self, image: Tensor, words: Tensor, keep: Tensor, sentence: Tensor) -> Tensor:
        return self.encode_image(image) + words.mean()


class Gives(nn.Module):
    def __init__(self, make: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.make = make

    def forward(self, image: Tensor, words: Tensor, keep: Tensor, sentence: Tensor) -> object:
        return self.make(image[:, :2])


def shrinking(config: ModelConfig) -> nn.Module:
    return Gives(lambda scores: scores[..., ::4, ::4])


def with_small_heads(config: ModelConfig) -> nn.Module:
    return Gives(lambda scores: Logits(scores, [scores[..., ::4, ::4]]))


def of_one_row(config: ModelConfig) -> nn.Module:
    return Gives(lambda scores: scores[:1])


def a_dict(config: ModelConfig) -> nn.Module:
    return Gives(lambda scores: {"out": scores})


def nothing(config: ModelConfig) -> None:
    return None


def config(name: str) -> ModelConfig:
    return ModelConfig(network=f"{__name__}:{name}", text_width=24)


def inputs(batch: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    words = torch.randn(batch, 20, 24)
    return torch.randn(batch, 3, 64, 32), words, torch.ones(batch, 20, dtype=torch.bool), words[:, 0]


@pytest.mark.parametrize("name", ["Plain", "Parted"])
def test_a_builder_gets_the_settings_and_its_network_has_the_form_of_ours(name: str):
    network, given = build_network(config(name)), inputs()
    assert network.network.width == 24
    whole = network(*given)
    parts = network.decode(network.encode_image(given[0]), *given[1:])
    assert torch.equal(whole.main, parts.main)
    assert [torch.equal(*pair) for pair in zip(whole.auxiliary, parts.auxiliary, strict=True)] == [True]
    assert network(*given, auxiliary=False).auxiliary == []


def test_an_image_is_encoded_once_where_the_network_has_parts():
    network, (image, words, keep, sentence) = build_network(config("Parted")), inputs()
    features = network.encode_image(image)
    for scale in (1, 2):
        network.decode(features, scale * words, keep, sentence)
    assert network.network.looked == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "returns a NoneType"),
        ("lost", "has no function lost"),
        ("shrinking", r"gives the shape \(2, 2, 16, 8\), not the shape \(2, 2, 64, 32\)"),
        ("with_small_heads", r"gives the shape \(2, 2, 16, 8\)"),
        ("of_one_row", r"gives the shape \(1, 2, 64, 32\)"),
        ("a_dict", "gives a dict"),
    ],
)
def test_what_is_no_network_is_refused_by_name(name: str, message: str):
    with pytest.raises(ConfigError, match=f"model.network = {__name__}:{name}.*{message}"):
        build_network(config(name))(*inputs())


def test_a_network_with_one_of_the_two_parts_is_called_as_a_whole():
    image, words, keep, sentence = inputs()
    assert torch.equal(build_network(config("Helped"))(image, words, keep, sentence).main, image[:, :2] + words.mean())


def test_features_of_an_image_may_have_any_number_of_dimensions():
    tokens = torch.randn(1, 7, 5)
    assert torch.equal(ImageFeatures((tokens,), (64, 32)).repeat(3).maps[0], tokens.repeat(3, 1, 1))


def test_what_knows_the_parts_of_cmirnet_does_not_touch_it():
    network = build_network(config("Plain"))
    assert applicable(network) == ()
    with pytest.raises(ConfigError, match=r"loop\.gradient_checkpointing is for CMIRNet"):
        recompute_activations(network)


LOOK = "from cmirnet_cli.model.own import imported; print(imported('lying_here:build', 'model.network')())"


@pytest.mark.parametrize("named", [False, True])
def test_nothing_is_imported_from_the_folder_that_a_command_runs_in_unless_pythonpath_names_it(named: bool, tmp_path: Path):
    (tmp_path / "lying_here.py").write_text("def build(): return 'was run'")
    root = str(Path(__file__).resolve().parents[3])
    environ = {"PYTHONPATH": f"{root}:{tmp_path}" if named else root, "PATH": ""}
    done = subprocess.run([sys.executable, "-c", LOOK], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert ("was run" in done.stdout) is named
    assert named or "lying_here cannot be imported: No module named 'lying_here'" in done.stderr


def test_an_import_that_fails_within_the_users_code_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "half_installed.py").write_text("import no_such_library")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    with pytest.raises(ConfigError, match="half_installed cannot be imported: No module named 'no_such_library'"):
        imported("half_installed:build", "model.network")
