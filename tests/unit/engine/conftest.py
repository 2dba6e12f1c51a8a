"""A small model for the small cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import ModelConfig, TextConfig
from cmirnet_cli.engine.evaluation.loop import Evaluator
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.encoder import scratch_encoder


@pytest.fixture
def cache(small_cache: Cache, tmp_path: Path) -> Cache:
    """A copy of the small cache, to put text features into."""
    shutil.copytree(small_cache.folder, tmp_path / "cache")
    return Cache.open(tmp_path / "cache")


@pytest.fixture(scope="session")
def evaluator(small_cache: Cache) -> Evaluator:
    """A model of random weights on the CPU, made to listen to every word and to find both classes in noise."""
    torch.manual_seed(0)
    config = ModelConfig(backbone="resnet-nano", fusion_width=128, text_width=24)
    tokenizer = word_tokenizer(small_cache.split_sentences("val"))
    encoder = scratch_encoder(TextConfig(source="scratch"), config.text_width, tokenizer)
    model = ReferringModel(build_network(config), TextEncoder(encoder))
    _sharpen(model)
    _balance(model)
    return Evaluator(model, tokenizer, 20, torch.device("cpu"))


@torch.no_grad()
def _sharpen(model: ReferringModel) -> None:
    """Fresh text encoders say nearly the same of every sentence, and fresh networks hardly look at what they say."""
    for part in (model.text, model.network.fusions, model.network.context_fusion, model.network.graph):
        for parameter in part.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)


@torch.no_grad()
def _balance(model: ReferringModel) -> None:
    """Let batch norm see some noise, then move the main head's bias to the middle of what it says."""
    noise, ids, keep = torch.randn(4, 3, 64, 64), torch.randint(4, 9, (4, 20)), torch.ones(4, 20, dtype=torch.bool)
    for _ in range(20):
        model.train()(noise, ids, keep)
    background, referent = model.eval()(noise, ids, keep).main.unbind(dim=1)
    model.network.heads[-1].bias[1] -= (referent - background).median()
