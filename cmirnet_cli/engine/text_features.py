"""Text features: made once by a text encoder, and read in its place while it stays the one they were made with."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import tokenise
from cmirnet_cli.cache.features import Dtype, TextFacts, TextFeatures, TextOrigin, all_features
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.errors import CacheError, ConfigError, DataError
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle
from cmirnet_cli.weights.encoder import encoder_fingerprint, tokenizer_fingerprint

ENCODER_SETTINGS = (
    *("text.source", "text.tokens", "text.scratch_layers", "text.scratch_heads", "model.text_width", "loop.seed", "loop.init_from"),
)
"""Settings that decide which text encoder a run starts with."""


@dataclass(frozen=True)
class TextReader:
    """A text encoder with its tokenizer, and the length that it reads sentences at."""

    text: TextEncoder
    tokenizer: PreTrainedTokenizerBase
    tokens: int

    def origin(self) -> TextOrigin:
        """What features that it makes depend on; reads every weight.

        Raises:
            WeightsError: its tokenizer is of a kind that cannot be compared.
        """
        return TextOrigin(encoder_fingerprint(self.text.encoder), tokenizer_fingerprint(self.tokenizer), self.tokens)

    def facts(self, source: str, dtype: Dtype) -> TextFacts:
        """What features that it makes are; `source` says where it came from. Raises as `origin` does."""
        return TextFacts(self.origin(), source, dtype, int(self.text.encoder.config.hidden_size))

    @torch.inference_mode()
    def read(self, texts: Sequence[str], device: torch.device, batch_size: int) -> Iterator[NDArray[np.float32]]:
        """The last hidden states float32 (b, T, D) of sentences, in their order, at most `batch_size` at a time."""
        text = self.text.to(device).eval()
        for start in range(0, len(texts), batch_size):
            tokens = tokenise(self.tokenizer, texts[start : start + batch_size], self.tokens).to(device)
            yield text(tokens.ids, tokens.keep).cpu().numpy()


def matching_features(cache: Cache, reader: TextReader, remedy: str) -> TextFeatures | None:
    """The features of a cache that this encoder made; None where the cache has no features at all.

    Args:
        cache: whose features are looked for.
        reader: the encoder that they stand for.
        remedy: what to do if there are only others, for the hint.

    Raises:
        CacheError: the cache has features and none are of this encoder, tokenizer and length; each is named with what differs.
        WeightsError: the tokenizer is of a kind that cannot be compared.
    """
    manifests = all_features(cache.folder)
    if not manifests:
        return None
    origin = reader.origin()
    for manifest in manifests:
        if manifest.facts.origin == origin:
            return TextFeatures(cache, manifest)
    others = "; ".join(
        f"{each.name} (made with {each.facts.source}): {', '.join(each.facts.origin.differences(origin))}" for each in manifests
    )
    raise CacheError(f"none of the text features in {cache.folder} are of this text encoder: {others}", hint=remedy)


def describe_features(features: TextFeatures) -> str:
    """Which features they are, in words."""
    facts = features.manifest.facts
    return f"{features.cache.folder / features.manifest.name} ({facts.dtype}, made with {facts.source})"


def features_to_begin_with(
    bundle: Bundle, settings: Settings, cache: Cache, notice: Callable[[str], None] = lambda line: None
) -> TextFeatures | None:
    """The features that stand in for the text encoder of a run; None where it is trained, where none were made, or with `data.flip`.

    Raises:
        CacheError: there are features, but of other encoders only.
        ConfigError: the encoder is frozen, to give the same for a sentence every time, and has dropout.
    """
    if settings.text.train != "none":
        return None
    if settings.text.dropout:
        hint = "use --set text.dropout=false, or train the encoder (text.train=published or all)"
        raise ConfigError("text.dropout is on, and the text encoder is frozen (text.train=none)", hint=hint)
    if settings.data.flip:
        if all_features(cache.folder):
            notice("text features are not used: data.flip changes sentences, and they are of the sentences as written")
        return None
    usual = Settings()
    values = {name: attrgetter(name)(settings) for name in ENCODER_SETTINGS}
    changed = [word for name, value in values.items() if value != attrgetter(name)(usual) for word in ("--set", f"{name}={value}")]
    command = shlex.join(["cmirnet", "cache-features", str(cache.folder), *changed])
    reader = TextReader(bundle.model.text, bundle.tokenizer, settings.text.tokens)
    features = matching_features(cache, reader, f"make them with: {command}")
    if features is not None:
        notice(f"using stored text features instead of the text encoder: {describe_features(features)}")
    return features


def features_to_go_on_with(
    begun: str | None, bundle: Bundle, settings: Settings, cache: Cache, notice: Callable[[str], None] = lambda line: None
) -> TextFeatures | None:
    """As `features_to_begin_with`, for a run that was begun with the features of this sha256, or (None) without any.

    Raises:
        DataError: its features are gone, or are others now.
    """
    if begun is None:
        return None
    features = features_to_begin_with(bundle, settings, cache, notice)
    if features is None or features.manifest.digest != begun:
        now = "has none of its text encoder" if features is None else f"has {features.manifest.digest[:12]}"
        raise DataError(
            f"the run was begun with text features of sha256 {begun[:12]}, {cache.folder} {now}",
            hint="restore the text features the run started with, or start a new run with --init-from",
        )
    return features
