"""`cmirnet cache-features`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import Device, Overwrite

if TYPE_CHECKING:
    from cmirnet_cli.cache.features import FeaturesManifest, TextFacts
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.engine.text_features import TextReader

MIB = 1 << 20

Folder: TypeAlias = Annotated[Path, typer.Argument(metavar="CACHE", help="A cache, or a folder that holds one.", show_default=False)]


def cache_features(
    cache: Folder,
    weights: Annotated[str | None, typer.Option("--weights", metavar="WEIGHTS", help="Whose text encoder: folder, run or hub id.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", metavar="NAME|FILE", help="Preset whose text encoder is used.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="A.B=V", help="As for train, such as text.source=FOLDER.")] = None,
    dtype: Annotated[Literal["fp32", "fp16"], typer.Option("--dtype", help="fp32: the same bits; fp16: half the room.")] = "fp32",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Sentences that are read at once.")] = 64,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Store what a text encoder makes of every distinct sentence of a cache, for `eval` and `train --freeze-text`.

    Without --weights it is the encoder that `train` starts from, with the same --preset and --set.

    Example: cmirnet cache-features cache/refcoco-unc --weights runs/refcoco-unc-swin-b
    """
    from cmirnet_cli.cache.features import TextFacts
    from cmirnet_cli.cache.features_writer import finished_features
    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import Cache

    data = Cache.open(find_cache(cache))
    reader, source = _of_weights(weights, preset, set_) if weights else _of_settings(data, preset, set_)
    facts = TextFacts(reader.origin(), source, dtype, reader.width)
    kept = None if overwrite else finished_features(data, facts)
    started = time.perf_counter()
    manifest = kept or _write(data, facts, reader, device, batch_size, overwrite=overwrite)
    _show(data, manifest, None if kept else time.perf_counter() - started)


def _of_weights(weights: str, preset: str | None, overrides: Sequence[str] | None) -> tuple[TextReader, str]:
    """The text encoder of whole weights, and where it came from."""
    from cmirnet_cli.engine.text_features import TextReader
    from cmirnet_cli.weights.source import load_weights

    if preset or overrides:
        raise UsageError("--weights bring their own text encoder", hint="leave out --preset and --set, or --weights")
    bundle = load_weights(weights)
    return TextReader(bundle.model.text, bundle.tokenizer, bundle.config.tokens), weights


def _of_settings(cache: Cache, preset: str | None, overrides: Sequence[str] | None) -> tuple[TextReader, str]:
    """The text encoder that a run with these settings starts from, and where it came from."""
    import os

    from cmirnet_cli.config import resolve
    from cmirnet_cli.engine.text_features import TextReader
    from cmirnet_cli.engine.training.start import starting_text

    settings = resolve(preset, os.environ, {}, overrides or [])
    text, tokenizer = starting_text(settings, cache)
    return TextReader(text, tokenizer, settings.text.tokens), settings.loop.init_from or settings.text.source


def _write(cache: Cache, facts: TextFacts, reader: TextReader, device: str, batch_size: int, *, overwrite: bool) -> FeaturesManifest:
    from cmirnet_cli.cache.features_writer import features_size, write_features
    from cmirnet_cli.engine.devices import pick_device

    sentences = cache.sentences()
    console.notice(f"{len(sentences):,} sentences will take {features_size(cache, facts) / MIB:,.0f} MiB")
    words = reader.read(sentences, pick_device(device), batch_size)
    with console.progress("encode sentences", len(sentences)) as advance:
        return write_features(cache, facts, words, overwrite=overwrite, advance=advance, notice=console.notice)


def _show(cache: Cache, manifest: FeaturesManifest, seconds: float | None) -> None:
    """What was made; `seconds` is None where it stood there already."""
    from dataclasses import asdict

    folder, facts = cache.folder / manifest.name, manifest.facts
    sentences, tokens, width = manifest.shape
    described = {"features": folder, **asdict(facts), "sentences": sentences, "bytes": manifest.size, "seconds": seconds}
    took = "there already" if seconds is None else f"{seconds:.1f} s"
    content = f"{sentences:,} sentences of {tokens} tokens × {width} channels, {facts.dtype}, {manifest.size / MIB:,.1f} MiB, {took}"
    console.result(described, content, f"text encoder: {facts.source}", f"features: {folder}")
