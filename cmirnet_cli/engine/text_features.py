"""Text features: made once by a text encoder, and read in its place while it stays the one they were made with."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from cmirnet_cli.batches.batch import tokenise
from cmirnet_cli.cache.features import Dtype, FeaturesSpec, TextFeatures, TextOrigin, all_features
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.cache.schema import differences
from cmirnet_cli.config import Settings
from cmirnet_cli.errors import CacheError, ConfigError
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

    def spec(self, source: str, dtype: Dtype) -> FeaturesSpec:
        """What features that it makes are; `source` says where it came from. Raises as `origin` does."""
        return FeaturesSpec(self.origin(), source, dtype, int(self.text.encoder.config.hidden_size))

    @torch.inference_mode()
    def read(
        self, texts: Sequence[str], device: torch.device, batch_size: int, advance: Callable[[int], object] = lambda sentences: None
    ) -> Iterator[NDArray[np.float32]]:
        """The last hidden states float32 (b, T, D) of sentences, in their order, at most `batch_size` at a time."""
        text = self.text.to(device).eval()
        for start in range(0, len(texts), batch_size):
            tokens = tokenise(self.tokenizer, texts[start : start + batch_size], self.tokens).to(device)
            yield text(tokens.ids, tokens.keep).cpu().numpy()
            advance(len(tokens.ids))


def matching_features(
    cache: Cache, reader: TextReader, remedy: str, notice: Callable[[str], None] = lambda line: None
) -> TextFeatures | None:
    """The features of a cache that this encoder made, which `notice` names; None where the cache has no features at all.

    Raises:
        CacheError: the cache has features and none are of this encoder, tokenizer and length; each is named with what differs. The hint
            is `remedy`.
        WeightsError: the tokenizer is of a kind that cannot be compared.
    """
    manifests = all_features(cache.folder)
    if not manifests:
        return None
    origin = reader.origin()
    for manifest in manifests:
        if manifest.facts.origin == origin:
            made = f"{manifest.facts.dtype}, made with {manifest.facts.source}"
            notice(f"using stored text features instead of the text encoder: {cache.folder / manifest.name} ({made})")
            return TextFeatures(cache, manifest)
    differ = [", ".join(differences(asdict(each.facts.origin), asdict(origin))) for each in manifests]
    others = "; ".join(f"{each.name} (made with {each.facts.source}): {what}" for each, what in zip(manifests, differ, strict=True))
    raise CacheError(f"none of the text features in {cache.folder} are of this text encoder: {others}", hint=remedy)


def features_for_training(
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
    now, usual = ({name: attrgetter(name)(each) for name in ENCODER_SETTINGS} for each in (settings, Settings()))
    changed = [word for name, value in now.items() if value != usual[name] for word in ("--set", f"{name}={value}")]
    command = shlex.join(["cmirnet", "cache-features", str(cache.folder), *changed])
    return matching_features(
        cache, TextReader(bundle.model.text, bundle.tokenizer, settings.text.tokens), f"make them with: {command}", notice
    )
