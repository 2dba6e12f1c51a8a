"""What a training run starts from, or goes on from: the network, the text encoder and the tokenizer, or a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import word_tokenizer
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import cache_name
from cmirnet_cli.config import SCRATCH, ModelConfig, Settings
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
from cmirnet_cli.engine.training.steps import require_optimizer
from cmirnet_cli.errors import ConfigError
from cmirnet_cli.model.build import build_network
from cmirnet_cli.model.cmirnet import CMIRNet, Network
from cmirnet_cli.model.loss import CROSS_ENTROPY, term_of
from cmirnet_cli.model.own import imported
from cmirnet_cli.model.referring import ReferringModel
from cmirnet_cli.model.text import SentencePlace, TextEncoder, most_tokens, usual_place
from cmirnet_cli.model.timm_backbone import require_timm_model
from cmirnet_cli.weights.bundle import Bundle, load_bundle
from cmirnet_cli.weights.check import named_tokenizer
from cmirnet_cli.weights.encoder import embedding_rows, load_encoder, load_tokenizer, require_vocabulary, scratch_encoder
from cmirnet_cli.weights.folder import BundleConfig
from cmirnet_cli.weights.imagenet import load_start
from cmirnet_cli.weights.source import load_weights


def require_known(settings: Settings) -> None:
    """Refuse settings that name what is not there: a backbone or an optimiser that timm lacks, code that is not installed.

    Raises:
        ConfigError: names it.
    """
    if settings.model.family == "timm":
        require_timm_model(settings.model.backbone)
    if settings.model.network:
        imported(settings.model.network, "model.network")
        if settings.optimizer.layer_decay is not None:
            raise ConfigError("optimizer.layer_decay is for CMIRNet, whose layers are known", hint="leave it out with model.network")
    for name in settings.loss.terms.keys() - {CROSS_ENTROPY}:
        term_of(name)
    require_optimizer(settings.optimizer.name)


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
    model, size = settings.model, settings.data.image_size
    if settings.loop.init_from:
        network, text, tokenizer = _from_weights(settings, notice)
        model = _with_width(model, text)
    else:
        text, tokenizer = _text_encoder(settings, cache)
        model = _with_width(model, text)
        network = build_network(model, size)
        start = settings.loop.backbone_weights
        if isinstance(network, CMIRNet) and (report := load_start(network, model, start, size)):
            parts = [f"{len(report.used)} entries used"]
            for what, names in (("ignored", report.ignored), ("missing", report.missing)):
                shown = ", ".join(names[:2]) + (", …" if len(names) > 2 else "")
                parts.append(f"{len(names)} {what}" + (f" ({shown})" if names else ""))
            place = f" ({report.place})" if report.place else ""
            notice(f"backbone from {settings.loop.backbone_weights}{place}: {', '.join(parts)}")
    if isinstance(network, CMIRNet) and network.beside:
        notice(f"text is fused beside {model.backbone}, not within it: its stages cannot be taken apart")
    text.choose_trained(settings.text.train)
    manifest = cache.manifest
    config = BundleConfig(
        model=model,
        encoder=text.encoder.config.to_dict(),
        tokens=settings.text.tokens,
        sentence=text.sentence,
        image_size=size,
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


def _from_weights(settings: Settings, notice: Callable[[str], None]) -> tuple[Network, TextEncoder, PreTrainedTokenizerBase]:
    """Everything from whole weights, whose model must be the one that the settings describe."""
    source, weights = settings.loop.init_from, _weights(settings, notice)
    wanted = _with_width(settings.model, weights.model.text)
    require_same_model(str(source), weights.config.model, wanted)
    size = settings.data.image_size
    network = build_network(wanted, size)
    try:
        network.load_state_dict(weights.model.network.state_dict(), assign=True)
    except RuntimeError as error:  # a transformer is built for one size
        wrong = f"the weights at {source} are of {weights.config.image_size} px and do not fit {wanted.backbone} at {size} px"
        raise ConfigError(wrong, hint=f"use --set data.image_size={weights.config.image_size}") from error
    notice(f"starting from {source}" + (f", trained on {weights.config.dataset}" if weights.config.dataset else ""))
    text = weights.model.text
    return network, _as_set(text.encoder, text.sentence, settings), weights.tokenizer


def _weights(settings: Settings, notice: Callable[[str], None]) -> Bundle:
    """The whole weights to start from. An official file names no tokenizer; `text.source` gives one, if it was changed.

    Raises:
        ConfigError: their text encoder reads fewer tokens than the settings say.
    """
    source, tokens = str(settings.loop.init_from), settings.text.tokens
    weights = load_weights(source, named_tokenizer(settings.text), notice)
    most = most_tokens(weights.model.text.encoder)
    if most is not None and tokens > most:
        wrong = f"text.tokens is {tokens}, the text encoder of the weights at {source} reads at most {most}"
        raise ConfigError(wrong, hint=f"use --set text.tokens={weights.config.tokens}")
    return weights


def _text_encoder(settings: Settings, cache: Cache) -> tuple[TextEncoder, PreTrainedTokenizerBase]:
    if settings.text.source == SCRATCH:
        tokenizer: PreTrainedTokenizerBase = word_tokenizer(cache.split_sentences(TRAIN_SPLIT))
        encoder = scratch_encoder(settings.text, settings.model.text_width, tokenizer)
    else:
        encoder, tokenizer = load_encoder(settings.text.source), load_tokenizer(settings.text.source)
        hint = "tokenizer and weights must be of one model: put its tokenizer.json, or its vocabulary, next to the weights"
        require_vocabulary(tokenizer, embedding_rows(encoder), hint)
    width, model, most = encoder.config.hidden_size, settings.model, most_tokens(encoder)
    if "text_width" in model.model_fields_set and width != model.text_width:
        wrong = f"the text encoder {settings.text.source} gives {width} channels, model.text_width is {model.text_width}"
        raise ConfigError(wrong, hint=f"use --set model.text_width={width}, or leave it out")
    if most is not None and settings.text.tokens > most:
        wrong = f"text.tokens is {settings.text.tokens}, the text encoder {settings.text.source} reads at most {most}"
        raise ConfigError(wrong, hint=f"use --set text.tokens={most} or less")
    return _as_set(encoder, usual_place(encoder, tokenizer), settings), tokenizer


def _as_set(encoder: PreTrainedModel, usual: SentencePlace, settings: Settings) -> TextEncoder:
    """A text encoder as the settings say, its sentence read at the usual place unless they name another."""
    chosen = settings.text.sentence
    return TextEncoder(encoder, dropout=settings.text.dropout, sentence=usual if chosen == "auto" else chosen)


def _with_width(model: ModelConfig, text: TextEncoder) -> ModelConfig:
    """The settings of a network that reads what this encoder gives, unless they say themselves how wide that is."""
    own = "text_width" in model.model_fields_set
    return model if own else model.model_copy(update={"text_width": int(text.encoder.config.hidden_size)})


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
        notice(f"the run started with {directory.threads} threads on the CPU and continues with {threads}: numbers agree within rounding")
    notice(f"continuing after step {trainer.steps_taken} of {trainer.steps_total}")
    return trainer
