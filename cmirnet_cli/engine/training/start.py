"""What a training run starts from, or goes on from: the network, the text encoder and the tokenizer, or a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import cache_name
from cmirnet_cli.config import SCRATCH, Settings, TextConfig
from cmirnet_cli.engine.devices import seed_everything
from cmirnet_cli.engine.text_features import features_for_training
from cmirnet_cli.engine.training.checkpoints import read_state
from cmirnet_cli.engine.training.loop import Trainer
from cmirnet_cli.engine.training.requirements import (
    TRAIN_SPLIT,
    require_same_data,
    require_same_features,
    require_same_model,
    require_same_settings,
)
from cmirnet_cli.engine.training.run_directory import RunDirectory, newest_checkpoint
from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.cmirnet import CMIRNet
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle, load_bundle
from cmirnet_cli.weights.encoder import embedding_rows, load_encoder, load_tokenizer, require_vocabulary, scratch_encoder
from cmirnet_cli.weights.folder import BundleConfig
from cmirnet_cli.weights.imagenet import load_start
from cmirnet_cli.weights.source import load_weights


def starting_bundle(settings: Settings, cache: Cache, notice: Callable[[str], None] = lambda line: None) -> Bundle:
    """The model a run starts from, ready to be trained; seeds everything first.

    Args:
        settings: `loop.init_from` brings everything; without it the text encoder and the backbone have starting points of their own.
        cache: whose training sentences give a scratch text encoder its vocabulary.
        notice: called with a line that says what was loaded from where.

    Raises:
        WeightsError: pretrained weights cannot be loaded.
        ConfigError: the settings contradict the weights: another backbone, other widths.
    """
    seed_everything(settings.loop.seed)
    if settings.loop.init_from:
        network, text, tokenizer = _from_weights(settings, notice)
    else:
        text, tokenizer = _text_encoder(settings, cache)
        network = build_network(settings.model)
        if report := load_start(network, settings.model, settings.loop.backbone_weights):
            parts = [f"{len(report.used)} entries used"]
            for what, names in (("ignored", report.ignored), ("missing", report.missing)):
                shown = ", ".join(names[:2]) + (", …" if len(names) > 2 else "")
                parts.append(f"{len(names)} {what}" + (f" ({shown})" if names else ""))
            place = f" ({report.place})" if report.place else ""
            notice(f"backbone from {settings.loop.backbone_weights}{place}: {', '.join(parts)}")
    text.choose_trained(settings.text.train)
    manifest = cache.manifest
    config = BundleConfig(
        model=settings.model,
        encoder=text.encoder.config.to_dict(),
        tokens=settings.text.tokens,
        image_size=settings.data.image_size,
        dataset=cache_name(manifest.dataset, manifest.split_by),
    )
    return Bundle(ReferringModel(network, text), tokenizer, config)


def starting_text(settings: Settings, cache: Cache) -> tuple[TextEncoder, PreTrainedTokenizerBase]:
    """The text encoder and the tokenizer of `starting_bundle`, without a network. Seeds everything and raises as that does."""
    seed_everything(settings.loop.seed)
    if settings.loop.init_from is None:
        return _text_encoder(settings, cache)
    weights = _weights(settings, lambda line: None)
    return weights.model.text, weights.tokenizer


def resumed_bundle(settings: Settings, checkpoint: Path) -> Bundle:
    """The model of a checkpoint, ready to be trained on.

    Raises:
        WeightsError: the checkpoint is damaged.
    """
    bundle = load_bundle(checkpoint)
    bundle.model.text.dropout = settings.text.dropout
    bundle.model.text.choose_trained(settings.text.train)
    return bundle


def _from_weights(settings: Settings, notice: Callable[[str], None]) -> tuple[CMIRNet, TextEncoder, PreTrainedTokenizerBase]:
    """Everything from whole weights, whose model must be the one that the settings describe."""
    source, weights = settings.loop.init_from, _weights(settings, notice)
    require_same_model(str(source), weights.config.model, settings.model)
    network = build_network(settings.model)
    network.load_state_dict(weights.model.network.state_dict(), assign=True)
    notice(f"starting from {source}" + (f", trained on {weights.config.dataset}" if weights.config.dataset else ""))
    return network, TextEncoder(weights.model.text.encoder, dropout=settings.text.dropout), weights.tokenizer


def _weights(settings: Settings, notice: Callable[[str], None]) -> Bundle:
    """The whole weights to start from. An official file names no tokenizer; `text.source` gives one, if it was changed.

    Raises:
        ConfigError: their text encoder reads fewer tokens than the settings say.
    """
    source, tokens = str(settings.loop.init_from), settings.text.tokens
    chosen = settings.text.source not in (SCRATCH, TextConfig().source)
    weights = load_weights(source, settings.text.source if chosen else None, notice)
    positions = weights.model.text.encoder.config.max_position_embeddings
    if tokens > positions:
        wrong = f"text.tokens is {tokens}, the text encoder of the weights at {source} reads at most {positions}"
        raise ConfigError(wrong, hint=f"use --set text.tokens={weights.config.tokens}")
    return weights


def _text_encoder(settings: Settings, cache: Cache) -> tuple[TextEncoder, PreTrainedTokenizerBase]:
    if settings.text.source == SCRATCH:
        tokenizer: PreTrainedTokenizerBase = word_tokenizer(cache.split_sentences(TRAIN_SPLIT))
        encoder = scratch_encoder(settings.text, settings.model.text_width, tokenizer)
    else:
        encoder, tokenizer = load_encoder(settings.text.source), load_tokenizer(settings.text.source)
        hint = "tokenizer and weights must be of one model: put its tokenizer.json, or its vocabulary, beside the weights"
        require_vocabulary(tokenizer, embedding_rows(encoder), hint)
    width = encoder.config.hidden_size
    if width != settings.model.text_width:
        wrong = f"the text encoder {settings.text.source} gives {width} channels, model.text_width is {settings.model.text_width}"
        raise ConfigError(wrong, hint=f"use --set model.text_width={width}")
    return TextEncoder(encoder, dropout=settings.text.dropout), tokenizer


def resumed_trainer(
    directory: RunDirectory, settings: Settings, cache: Cache, device: torch.device, notice: Callable[[str], None] = lambda line: None
) -> Trainer:
    """The trainer of a run, where its newest checkpoint left it; at the beginning where there is none yet.

    Nothing is written: `directory.rewind` is for the one that goes on.

    Raises:
        ConfigError: a setting or the number of processes differs.
        DataError: the data differ.
        WeightsError: the checkpoint is damaged.
    """
    require_same_settings(directory.settings(), settings)
    require_same_data(directory.data, cache.folder, cache.manifest)
    checkpoint = newest_checkpoint(directory.checkpoints)
    bundle = resumed_bundle(settings, checkpoint) if checkpoint else starting_bundle(settings, cache, notice)
    features = features_for_training(bundle, settings, cache, notice) if directory.text_features else None
    require_same_features(directory.text_features, features, cache)
    trainer = Trainer(bundle, settings, cache, device, features)
    if checkpoint is None:
        notice(f"{directory.folder} has no checkpoint yet: starting from the beginning")
        return trainer
    trainer.resume(read_state(checkpoint))
    threads = torch.get_num_threads()
    if device.type == "cpu" and directory.threads != threads:
        notice(f"the run was begun with {directory.threads} threads on the CPU and goes on with {threads}: numbers agree up to rounding")
    notice(f"going on after step {trainer.steps_taken} of {trainer.steps_total}")
    return trainer
