"""Text features: made once by a text encoder, and read in its place while it stays the one they were made with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.tokens import tokenise
from cmirnet_cli.cache.features import FeaturesManifest, TextOrigin, all_features
from cmirnet_cli.cache.features_reader import TextFeatures
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.errors import CacheError
from cmirnet_cli.model.text import TextEncoder
from cmirnet_cli.weights.identity import encoder_fingerprint, tokenizer_fingerprint


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
