"""`cmirnet eval`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cmirnet_cli.console import console
from cmirnet_cli.options import CacheDir, Dataset, Device, Overwrite, Split, SplitBy, Weights

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.engine.evaluation import Judge, SplitScores
    from cmirnet_cli.reports.tables import ScoreRow
    from cmirnet_cli.weights.bundle import BundleConfig

SCORES, SENTENCES = "scores.json", "sentences.jsonl"
CHOICES = {"paper": ("paper",), "original": ("original",), "both": ("paper", "original")}


def evaluate(
    weights: Weights,
    cache: CacheDir = None,
    dataset: Dataset = None,
    split_by: SplitBy = None,
    split: Split = "val",
    protocol: Annotated[Literal["paper", "original", "both"], typer.Option("--protocol", help="How masks are compared.")] = "both",
    control: Annotated[Literal["shuffled-text"] | None, typer.Option("--control", help="Also score with the sentences swapped.")] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Sentences that go through at once.")] = 8,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for scores.json and sentences.jsonl.")] = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Score weights on every sentence of a split, under a named protocol.

    Example: cmirnet eval runs/refcoco-unc-swin-b --split testA
    """
    from cmirnet_cli.reports.files import require_free

    judge, config = _judge(weights, device, batch_size)
    data = _cache(cache or Path("cache"), dataset, split_by, config)
    require_free([out / SCORES, out / SENTENCES] if out else [], overwrite=overwrite)
    scored = [_score(judge, data, name, config.image_size, protocol, control) for name in _splits(data, split)]
    result = _described(scored, weights, data)
    if out:
        _write(out, result, scored)
    _show(result, scored, data)


def _judge(weights: str, device: str, batch_size: int) -> tuple[Judge, BundleConfig]:
    from cmirnet_cli.engine.devices import pick_device
    from cmirnet_cli.engine.evaluation import Judge
    from cmirnet_cli.weights.source import load_weights

    bundle = load_weights(weights)
    target = pick_device(device)
    return Judge(bundle.model.to(target), bundle.tokenizer, bundle.config.tokens, target, batch_size), bundle.config


def _cache(root: Path, dataset: str | None, split_by: str | None, config: BundleConfig) -> Cache:
    """The cache that was named, else the one of the data the weights were trained on, else the only one there is."""
    from cmirnet_cli.cache.find import find_cache
    from cmirnet_cli.cache.reader import Cache

    trained_on = root / config.dataset
    if dataset is None and split_by is None and config.dataset and trained_on.is_dir():
        return Cache.open(trained_on)
    return Cache.open(find_cache(root, dataset, split_by))


def _splits(cache: Cache, split: str) -> Sequence[str]:
    return cache.splits if split == "all" else [split]


def _score(judge: Judge, cache: Cache, split: str, size: int, protocol: str, control: str | None) -> SplitScores:
    from cmirnet_cli.engine.evaluation import evaluate_split

    total = sum(len(cache.referent(row).sentences) for row in cache.referents(split).tolist())
    with console.progress(f"score {split}", total * (2 if control else 1)) as advance:
        return evaluate_split(judge, cache, split, size, CHOICES[protocol], control=control is not None, advance=advance)


def _described(scored: Sequence[SplitScores], weights: str, cache: Cache) -> dict[str, object]:
    """The scores with what they are scores of."""
    from cmirnet_cli import __version__
    from cmirnet_cli.reports.scores_file import describe
    from cmirnet_cli.weights.source import fingerprint

    manifest = cache.manifest
    return {
        "program": __version__,
        "weights": {"source": weights, "sha256": fingerprint(weights)},
        "data": {"dataset": manifest.dataset, "split_by": manifest.split_by, "fingerprint": manifest.fingerprint.key},
        **describe(scored),
    }


def _write(folder: Path, result: Mapping[str, object], scored: Sequence[SplitScores]) -> None:
    from cmirnet_cli.durable import write_text
    from cmirnet_cli.reports.scores_file import sentence_lines

    write_text(folder / SENTENCES, "".join(sentence_lines(scored)))
    write_text(folder / SCORES, json.dumps({"schema_version": 1, **result}, indent=2) + "\n")
    console.notice(f"wrote {folder / SCORES} and {folder / SENTENCES}")


def _show(result: Mapping[str, object], scored: Sequence[SplitScores], cache: Cache) -> None:
    from cmirnet_cli.reports.tables import PROTOCOLS, score_table

    title = f"{cache.manifest.dataset} ({cache.manifest.split_by})"
    words = [f"{protocol}: {PROTOCOLS[protocol]}" for protocol in scored[0].protocols]
    console.result(result, score_table(list(_rows(scored)), title=title, label="split, protocol"), *words)


def _rows(scored: Sequence[SplitScores]) -> Iterator[ScoreRow]:
    from cmirnet_cli.reports.tables import ScoreRow

    for each in scored:
        for protocol in each.protocols:
            yield ScoreRow(f"{each.split} {protocol}", each.scores(protocol), each.control_scores(protocol))
