"""Training beside a frozen text encoder, whose features may stand in for it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from operator import attrgetter

from cmirnet_cli.cache.features import all_features
from cmirnet_cli.cache.features_reader import TextFeatures
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.text_features import TextReader, describe_features, matching_features
from cmirnet_cli.engine.training.requirements import require_same_features, require_still_text
from cmirnet_cli.weights.bundle import Bundle

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
