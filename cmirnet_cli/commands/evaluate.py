"""`cmirnet eval`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cmirnet_cli.commands.evaluate_outputs import EvaluationOutputs
from cmirnet_cli.commands.evaluate_task import Computing, EvaluationResult, Task, compared_with, examine
from cmirnet_cli.commands.slow_format import warn_if_slow
from cmirnet_cli.console import console
from cmirnet_cli.options import CacheDir, Dataset, Device, Optimizations, Overwrite, Precision, Split, SplitBy, Weights

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.metrics.split_report import Rules

CHOICES = {"paper": ("paper",), "original": ("original",), "both": ("paper", "original")}


class ControlName(str, Enum):
    """What is asked in place of the split's own questions."""

    SHUFFLED_TEXT = "shuffled-text"
    NO_IMAGE = "no-image"


def evaluate(
    weights: Weights,
    cache: CacheDir = None,
    dataset: Dataset = None,
    split_by: SplitBy = None,
    split: Split = "val",
    protocol: Annotated[Literal["paper", "original", "both"], typer.Option("--protocol", help="How masks are compared.")] = "both",
    control: Annotated[
        list[ControlName] | None, typer.Option("--control", help="Also score with sentences swapped, or grey images; can be repeated.")
    ] = None,
    compare: Annotated[
        str | None, typer.Option("--compare", metavar="RESULTS|WEIGHTS", help="Earlier scores.json or other weights to compare with.")
    ] = None,
    groups: Annotated[bool, typer.Option("--groups", help="Also print scores by size, length, category, distractors, words.")] = False,
    save_masks: Annotated[bool, typer.Option("--save-masks", help="Keep each mask, at the image's size, in sentences.jsonl.")] = False,
    empty_below: Annotated[
        int | None,
        typer.Option("--empty-below", min=1, metavar="PIXELS", help="Smaller masks say 'nothing there' in gIoU, cIoU, N-acc, T-acc."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="N", help="Seed of the resampled images behind the intervals.")
    ] = None,
    no_text_features: Annotated[
        bool, typer.Option("--no-text-features", help="Ask the text encoder, also where cache-features stored what it says.")
    ] = False,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Sentences that go through at once.")] = 8,
    workers: Annotated[int, typer.Option("--workers", min=0, metavar="N", help="Processes that load data; 0: no others.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for scores.json and sentences.jsonl.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="One HTML page: scores, histogram of IoU, sentences to look through.")
    ] = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    optimizations: Optimizations = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Score weights on every sentence of a split, under a named protocol.

    Example: cmirnet eval runs/refcoco-unc-swin-b --split testA
    """
    from cmirnet_cli.engine.inference import Inference, optimizations_named
    from cmirnet_cli.engine.shards import joined

    wanted = EvaluationOutputs(out, report, save_masks, overwrite)
    wanted.require_places(protocol)
    rules = _rules(seed, empty_below)
    inference = Inference(precision, optimizations_named(optimizations))
    with joined() as shard:
        warn_if_slow(precision, shard.device(device))
        examined = examine(weights, Computing(device, shard, inference, batch_size, workers))
        data = _cache(cache or Path("cache"), dataset, split_by, examined.dataset)
        task = Task(data, tuple(_splits(data, split)), CHOICES[protocol], not no_text_features, shard)
        wanted.require_room(task)
        examined = task.prepared(examined)
        theirs = compared_with(compare, task, examined) if compare else None
        scored = task.score(examined, [one.value for one in dict.fromkeys(control or ())], wanted.masks)
    if not shard.first:
        return
    outcome = EvaluationResult.of(task, examined, scored, rules, theirs)
    wanted.write(outcome, task, scored, rules)
    _show(outcome, task, rules, groups, report)


def _rules(seed: int | None, empty_below: int | None) -> Rules:
    from cmirnet_cli.metrics.intervals import Resampling
    from cmirnet_cli.metrics.split_report import Rules

    usual = Rules()
    drawn = usual.resampling if seed is None else Resampling(seed=seed)
    return Rules(drawn, usual.empty_below if empty_below is None else empty_below)


def _cache(root: Path, dataset: str | None, split_by: str | None, trained_on: str) -> Cache:
    """The cache that was named, else the one of the data the weights were trained on, else the only one there is."""
    from cmirnet_cli.cache.folder import find_cache
    from cmirnet_cli.cache.reader import Cache

    if dataset is None and split_by is None and trained_on and (root / trained_on).is_dir():
        return Cache.open(root / trained_on)
    return Cache.open(find_cache(root, dataset, split_by))


def _splits(cache: Cache, split: str) -> Sequence[str]:
    return cache.splits if split == "all" else [split]


def _show(outcome: EvaluationResult, task: Task, rules: Rules, groups: bool, report: Path | None) -> None:
    from cmirnet_cli.reports.evaluation.tables import printed

    data = {**outcome.data, **({"report": report} if report else {})}
    console.result(data, *printed(outcome.reports, outcome.comparisons, rules, title=task.title, groups=groups))
