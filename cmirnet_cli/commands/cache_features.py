"""`cmirnet cache-features`."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError
from cmirnet_cli.options import Device, Overwrite

MIB = 1 << 20


def cache_features(
    cache: Annotated[Path, typer.Argument(metavar="CACHE", help="A cache, or a folder that holds one.", show_default=False)],
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="WEIGHTS", help="Use the text encoder of these weights: folder, run, hub id or official .pth."),
    ] = None,
    preset: Annotated[str | None, typer.Option("--preset", metavar="NAME|FILE", help="Preset whose text encoder is used.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="A.B=V", help="As for train, such as text.source=FOLDER.")] = None,
    dtype: Annotated[Literal["fp32", "fp16"], typer.Option("--dtype", help="fp32: the same bits; fp16: half the space.")] = "fp32",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Sentences per batch.")] = 64,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Store a text encoder's output for every distinct sentence of a cache, for `eval` and `train --freeze-text`.

    Without --weights it is the encoder that `train` starts from, with the same --preset and --set.

    Example: cmirnet cache-features cache/refcoco-unc --weights runs/refcoco-unc-swin-b
    """
    if weights and (preset or set_):
        raise UsageError("--weights bring their own text encoder", hint="leave out --preset and --set, or --weights")

    from cmirnet_cli.cache.features import TextFeatures
    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.config import resolve
    from cmirnet_cli.weights.check import check_text, check_weights

    data, settings = Cache.open(find_cache(cache)), resolve(preset, os.environ, {}, set_ or [])
    if weights:
        check_weights(weights)
    else:
        check_text(settings)

    from cmirnet_cli.engine.devices import pick_device
    from cmirnet_cli.engine.text_features import TextReader
    from cmirnet_cli.engine.threads import use_own_cores

    use_own_cores()
    if weights:
        from cmirnet_cli.weights.source import load_weights

        bundle, source = load_weights(weights, notice=console.notice), weights
        reader = TextReader(bundle.model.text, bundle.tokenizer, bundle.config.tokens)
    else:
        from cmirnet_cli.engine.training.start import starting_text

        reader, source = TextReader(*starting_text(settings, data), settings.text.tokens), settings.loop.init_from or settings.text.source
    spec, sentences = reader.spec(source, dtype), data.distinct_sentences()
    seconds: float | None = None
    features = None if overwrite else TextFeatures.finished(data, spec)
    if features is None:
        started = time.perf_counter()
        console.notice(f"{len(sentences):,} sentences will take {spec.size(len(sentences)) / MIB:,.0f} MiB")
        with console.progress("encode sentences", len(sentences)) as advance:
            words = reader.read(sentences, pick_device(device), batch_size, advance)
            features = TextFeatures.write(data, spec, words, overwrite=overwrite, notice=console.notice)
        seconds = time.perf_counter() - started

    made, folder, size = features.manifest.facts, data.folder / features.manifest.name, features.manifest.size
    result = {"features": folder, **asdict(made), "sentences": len(sentences), "bytes": size, "seconds": seconds}
    took = "there already" if seconds is None else f"{seconds:.1f} s"
    shape = f"{len(sentences):,} sentences of {made.origin.tokens} tokens × {made.width} channels"
    amount = f"{shape}, {made.dtype}, {size / MIB:,.1f} MiB, {took}"
    console.result(result, amount, f"text encoder: {made.source}", f"features: {folder}")
