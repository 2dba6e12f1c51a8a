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
from cmirnet_cli.cache.features import FeaturesManifest, TextOrigin, all_features
from cmirnet_cli.cache.features_reader import TextFeatures
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.training.requirements import require_same_features, require_still_text
from cmirnet_cli.errors import CacheError
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.bundle import Bundle
from cmirnet_cli.weights.encoder import encoder_fingerprint, tokenizer_fingerprint


@dataclass(frozen=True)
class TextReader:
    """A text encoder with its tokenizer, and the length that it reads sentences at."""

    text: TextEncoder
    tokenizer: PreTrainedTokenizerBase
    tokens: int

    @property
    def width(self) -> int:
        """Channels of what it gives."""
        return int(self.text.encoder.config.hidden_size)

    def origin(self) -> TextOrigin:
        """What features that it makes depend on; reads every weight.

        Raises:
            WeightsError: its tokenizer is of a kind that cannot be compared.
        """
        return TextOrigin(encoder_fingerprint(self.text.encoder), tokenizer_fingerprint(self.tokenizer), self.tokens)

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
        reader: the encoder that they are to stand for.
        remedy: what to do if there are only others, for the hint.

    Raises:
        CacheError: the cache has features and none are of this encoder, tokenizer and length; each is named with what differs.
        WeightsError: the tokenizer is of a kind that cannot be compared.
    """
    found = all_features(cache.folder)
    if not found:
        return None
    wanted = reader.origin()
    fitting = [each for each in found if each.facts.origin == wanted]
    if not fitting:
        strangers = "; ".join(_difference(each, wanted) for each in found)
        raise CacheError(f"none of the text features in {cache.folder} are of this text encoder: {strangers}", hint=remedy)
    return TextFeatures(cache, fitting[0])


def describe_features(features: TextFeatures) -> str:
    """Which features they are, in words."""
    facts = features.manifest.facts
    return f"{features.cache.folder / features.manifest.name} ({facts.dtype}, made with {facts.source})"


def _difference(found: FeaturesManifest, wanted: TextOrigin) -> str:
    return f"{found.name} (made with {found.facts.source}): {', '.join(found.facts.origin.differences(wanted))}"


_SHAPING = ("text.source", "text.tokens", "text.scratch_layers", "text.scratch_heads", "model.text_width", "loop.seed", "loop.init_from")
"""Settings that decide with which text encoder a run starts."""


def features_to_begin_with(
    bundle: Bundle, settings: Settings, cache: Cache, notice: Callable[[str], None] = lambda line: None
) -> TextFeatures | None:
    """The features that stand in for the text encoder of a run; None where it is trained, where none were made, or with `data.flip`.

    Raises:
        CacheError: there are features, but of other encoders only.
        ConfigError: the frozen encoder is to have dropout.
    """
    require_still_text(settings)
    if settings.text.train != "none":
        return None
    if settings.data.flip:
        if all_features(cache.folder):
            notice("text features are not used: data.flip changes sentences, and they are of the sentences as written")
        return None
    reader = TextReader(bundle.model.text, bundle.tokenizer, settings.text.tokens)
    features = matching_features(cache, reader, f"make them with: {_command(settings, cache)}")
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
    require_same_features(begun, None if features is None else features.manifest.digest, cache)
    return features


def _command(settings: Settings, cache: Cache) -> str:
    """The command that makes the features that a run with these settings starts with."""
    usual = Settings()
    here = {name: attrgetter(name)(settings) for name in _SHAPING}
    changed = [word for name, value in here.items() if value != attrgetter(name)(usual) for word in ("--set", f"{name}={value}")]
    return shlex.join(["cmirnet", "cache-features", str(cache.folder), *changed])
