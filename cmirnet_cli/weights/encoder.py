"""Text encoders and their tokenizers: from a hub id, from a local folder, or made from scratch; and what makes two of them the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from torch import nn
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertModel, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from cmirnet_cli.config import TextConfig
from cmirnet_cli.errors import WeightsError, first_line, listed
from cmirnet_cli.hub import if_it_answers
from cmirnet_cli.model.text import tower
from cmirnet_cli.weights.checkpoint import read_checkpoint, state_dict
from cmirnet_cli.weights.lookalikes import refuse_lookalikes_in, weight_files

_FOREIGN_CODE = re.compile(r"auto_map|\w+_implementation(_internal)?")
"""Settings by which transformers fetches and runs code: modelling files, and kernels in place of its own attention."""

ELSEWHERE = (
    "give a local folder with --set text.source=FOLDER, run once where the hub can be reached, or try --preset smoke, which needs neither"
)
SPARE_ROWS = 0.01
"""The largest share of an encoder's embeddings that belongs to no word of its tokenizer."""
POSITION_SHARE = 0.3
"""Spread of the first position embeddings beside word embeddings of spread 1, in an encoder made from scratch."""
WORDS_GAIN = 4.0
"""How strongly the first layer of such an encoder adds what a token reads to the token."""


def load_encoder(source: str) -> PreTrainedModel:
    """A pretrained encoder of transformers by hub id or local folder, in fp32, all of whose weights but the pooler's come from there.

    Raises:
        WeightsError: it is not there, cannot be read, cannot be fetched, or is not whole.
    """
    with _loading("text encoder", source, ELSEWHERE):
        folder = _local_folder(source)
        for path in weight_files(folder) if folder else ():
            if path.suffix == ".bin":
                state_dict(read_checkpoint(path), str(path))  # a pickle, which transformers would read with less care
        options = {"dtype": torch.float32, "ignore_mismatched_sizes": True, "output_loading_info": True, "trust_remote_code": False}
        with _errors_only():
            kind, config = tower(AutoConfig.from_pretrained(source, trust_remote_code=False))
            encoder, found = kind.from_pretrained(source, config=config, **options)
    misfits = [f"{name} {tuple(there)} instead of {tuple(here)}" for name, there, here in sorted(found["mismatched_keys"])]
    missing = [name for name in sorted(found["missing_keys"]) if not {"pooler", "head"} & set(name.split("."))]
    for names, what in ((misfits, "have another shape than its config.json says"), (missing, "are missing from its files")):
        if names:
            entries = f"{len(names):,} of its entries {what}: {listed(names)}"
            raise WeightsError(
                f"the text encoder {source!r} cannot be loaded: {entries}",
                hint=f"its config.json and its weights must be of one model: {ELSEWHERE}",
            )
    return cast(PreTrainedModel, encoder)


def load_tokenizer(source: str, hint: str = ELSEWHERE, kind: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer that belongs to an encoder, by hub id or local folder.

    Args:
        source: hub id or folder.
        hint: what to do if it cannot be loaded.
        kind: transformers' name of the architecture, for a folder that does not say it.

    Raises:
        WeightsError: it is not there, cannot be read, or cannot be fetched.
    """
    with _loading("tokenizer", source, hint):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False, tokenizer_type=kind)
    return tokenizer


def require_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int, hint: str) -> None:
    """Refuse a tokenizer that belongs to another text encoder, one with embeddings in so many rows.

    Every id must have a row. One row in a hundred may be without a word: some encoders are published with a few rows to spare.

    Raises:
        WeightsError: the vocabularies do not fit; both sizes are named.
    """
    words, place = len(tokenizer), str(tokenizer.name_or_path)
    if max(tokenizer.get_vocab().values(), default=0) < rows and rows - words <= SPARE_ROWS * rows:
        return
    folder, files = _local_folder(place), sorted(tokenizer.vocab_files_names.values())
    found = f"the tokenizer {place} knows {words:,} words, the text encoder {rows:,}"
    if folder and not any((folder / name).is_file() for name in files):
        found += f": the folder holds no {' and no '.join(files)}"
    raise WeightsError(found, hint=hint)


def embedding_rows(encoder: PreTrainedModel) -> int:
    """How many token ids an encoder has embeddings for."""
    return int(encoder.get_input_embeddings().weight.shape[0])


def scratch_encoder(text: TextConfig, width: int, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A small BERT with random weights for a tokenizer's vocabulary, started so that it can learn quickly."""
    config = scratch_config(text, width, len(tokenizer))
    encoder = BertModel(config, add_pooling_layer=False)
    _start_as_bag_of_words(encoder, tokenizer.cls_token_id)
    return encoder


def scratch_config(text: TextConfig, width: int, words: int) -> BertConfig:
    """The architecture of a small BERT that gives `width` channels and knows so many words."""
    return BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=text.scratch_layers,
        num_attention_heads=text.scratch_heads,
        intermediate_size=4 * width,
        max_position_embeddings=text.tokens,
    )


@torch.no_grad()
def _start_as_bag_of_words(encoder: PreTrainedModel, start: int) -> None:
    """Set the first layer so that every word reads itself and `[CLS]` (token `start`) reads all words evenly.

    With BERT's own start the state at `[CLS]` is the same for every sentence (under a thousandth of it varies at 96 channels),
    and a network trained beside it needs hundreds of steps before words mean anything to it.
    """
    embeddings, attention = encoder.embeddings, encoder.encoder.layer[0].attention
    words, positions = embeddings.word_embeddings.weight, embeddings.position_embeddings.weight
    nn.init.normal_(words)
    nn.init.normal_(positions, std=POSITION_SHARE)
    nn.init.zeros_(embeddings.token_type_embeddings.weight)
    first = nn.functional.normalize(embeddings.LayerNorm(words[start] + positions[0]), dim=0)
    without_first = torch.eye(len(first)) - torch.outer(first, first)
    for similarity in (attention.self.query.weight, attention.self.key.weight):
        similarity.copy_(without_first)
    nn.init.eye_(attention.self.value.weight)
    nn.init.eye_(attention.output.dense.weight).mul_(WORDS_GAIN)


def encoder_from_config(config: Mapping[str, Any]) -> PreTrainedModel:
    """An encoder of the recorded architecture, its weights still to be loaded.

    Raises:
        WeightsError: transformers does not know the architecture, or the configuration asks for code from elsewhere.
    """
    settings = dict(config)
    foreign = [name for name in _keys(settings) if _FOREIGN_CODE.fullmatch(name)]
    if foreign:
        raise WeightsError(
            f"config.json asks for code that may come from elsewhere: {', '.join(foreign)}",
            hint="weights hold no code; get them from where they were trained",
        )
    try:
        kind, described = tower(AutoConfig.for_model(settings.pop("model_type"), **settings))
        encoder: PreTrainedModel = kind._from_config(described)
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"config.json describes a text encoder that cannot be built: {error}", hint="the file was changed or damaged"
        ) from error
    return encoder


def _keys(config: Mapping[str, Any]) -> Iterator[str]:
    for name, value in config.items():
        yield str(name)
        if isinstance(value, Mapping):
            yield from _keys(value)


@contextmanager
def _loading(what: str, source: str, hint: str) -> Iterator[None]:
    """Names what is loaded, and from where, in any error that a library raises; before that, files that are something else are refused.

    Libraries do not wait for a hub that does not answer; a local folder needs no hub.
    """
    _refuse_lookalikes(source)
    try:
        with nullcontext() if Path(source).is_dir() else if_it_answers():
            yield
    except WeightsError:
        raise
    except Exception as error:  # of any class: tokenizers raise bare ones, configurations whatever their checks do
        _refuse_lookalikes(source)  # which may have been fetched just now
        raise WeightsError(f"the {what} {source!r} cannot be loaded: {first_line(error)}", hint=hint) from error


@contextmanager
def _errors_only() -> Iterator[None]:
    """Transformers reports what is missing as a matter of training on; here, what is missing is refused."""
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _refuse_lookalikes(source: str) -> None:
    if folder := _local_folder(source):
        refuse_lookalikes_in(folder)


def _local_folder(source: str) -> Path | None:
    """Where the files of a folder, or of a hub id that was fetched already, lie; None for nothing of either."""
    if source and Path(source).is_dir():
        return Path(source)
    try:
        cached = try_to_load_from_cache(source, "config.json")
    except HFValidationError:
        return None
    return Path(cached).parent if isinstance(cached, str) else None


_UNSEEN = ("model_type", "hidden_act", "activation", "layer_norm_eps", "num_attention_heads", "n_heads", "num_hidden_layers")
"""Settings that change what an encoder computes and that names and shapes of its weights do not show."""
_BERTS = ("bert", "distilbert")
"""Kinds of encoders of which that is known; of others all settings count."""
_IRRELEVANT = ("transformers_version", "_name_or_path", "dtype", "architectures")
_PASSING = ("truncation", "padding", "version")
"""Parts of a tokenizer's definition that say how it was last called, or who wrote it down."""


def encoder_fingerprint(encoder: PreTrainedModel) -> str:
    """Sha256 over every weight of a text encoder and the settings that its output depends on, as hexadecimal text."""
    settings = encoder.config.to_dict()
    if settings.get("model_type") in _BERTS:
        settings = {name: settings.get(name) for name in _UNSEEN}
    digest = hashlib.sha256(_text({name: value for name, value in settings.items() if name not in _IRRELEVANT}))
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Sha256 over a tokenizer's rules and vocabulary, as hexadecimal text.

    Raises:
        WeightsError: it is made of Python code, which cannot be compared.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        kind = type(tokenizer).__name__
        raise WeightsError(f"the tokenizer {kind} has no definition that can be compared", hint="train without text features")
    definition = json.loads(backend.to_str())
    return hashlib.sha256(_text({name: value for name, value in definition.items() if name not in _PASSING})).hexdigest()


def _text(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
