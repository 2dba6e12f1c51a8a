"""A small model with everything that belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import huggingface_hub
import pytest
import torch

from cmirnet_cli.batches.batch import tokenise, word_tokenizer
from cmirnet_cli.config import ModelConfig, TextConfig
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle, BundleConfig
from cmirnet_cli.weights.encoder import scratch_encoder

SENTENCES = ("the red cup", "left person", "the dog on the left")


@pytest.fixture(params=["swin-nano", "resnet-nano"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """A model of random weights and lived-in batch norms, in eval mode, that the test may change."""
    made = made_bundle(request.param)
    return replace(made, model=deepcopy(made.model))


@cache
def made_bundle(backbone: str) -> Bundle:
    torch.manual_seed(0)
    config = ModelConfig(backbone=backbone, fusion_width=32, text_width=24)
    tokenizer = word_tokenizer(SENTENCES)
    encoder = scratch_encoder(TextConfig(source="scratch"), config.text_width, tokenizer)
    model = ReferringModel(build_network(config), TextEncoder(encoder))
    model(torch.randn(2, 3, 64, 64), torch.randint(4, 8, (2, 20)), torch.ones(2, 20, dtype=torch.bool))
    described = BundleConfig(model=config, encoder=encoder.config.to_dict(), tokens=20, image_size=64, dataset="drawn-made")
    return Bundle(model.eval(), tokenizer, described)


@pytest.fixture
def logits() -> Callable[[Bundle], torch.Tensor]:
    """A bundle's logits for three expressions and one made-up image."""

    def computed(bundle: Bundle) -> torch.Tensor:
        tokens = tokenise(bundle.tokenizer, SENTENCES, bundle.config.tokens)
        image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)).expand(3, -1, -1, -1)
        with torch.inference_mode():
            logits = bundle.model(image, tokens.ids, tokens.keep)
        return torch.stack([logits.main, *logits.auxiliary])

    return computed


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub's, and the hub out of reach, as with HF_HUB_OFFLINE=1 and HF_HOME; the libraries read both at each call."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"
