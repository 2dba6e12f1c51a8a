"""`cmirnet eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cmirnet_cli.commands import evaluate_outputs
from cmirnet_cli.commands.evaluate_groups import GroupsRequest, PaperFormat, evaluate_groups, refuse, side_by_side
from cmirnet_cli.commands.evaluate_outputs import EvaluationOutputs
from cmirnet_cli.commands.models import KnownModel, ModelOptions, named_model
from cmirnet_cli.console import console
from cmirnet_cli.options import (
    COMPUTED,
    WRITTEN,
    CacheDir,
    Dataset,
    Device,
    Optimizations,
    Overwrite,
    Precision,
    Split,
    SplitBy,
    Tokenizer,
)

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.engine.evaluation.run import EvaluatedModel, EvaluationRequest
    from cmirnet_cli.engine.processes import Process
    from cmirnet_cli.metrics.split_report import ScoringOptions
    from cmirnet_cli.reports.evaluation.comparison import Comparison
    from cmirnet_cli.reports.evaluation.results import Results

_SCORED, _SHOWN = "How it is scored", "What to show"

PROTOCOLS = {"paper": ("paper",), "original": ("original",), "both": ("paper", "original")}


class ControlName(str, Enum):
    """What is scored besides the split as it is."""

    SHUFFLED_TEXT = "shuffled-text"
    NO_IMAGE = "no-image"


def evaluate(
    weights: Annotated[
        list[str],
        typer.Argument(
            metavar="WEIGHTS…",
            help="Weights folder, run directory, official .pth file, or on the hub org/name or org/name:file.pth; several, or a folder of "
            "train --seeds, are shown side by side.",
        ),
    ],
    cache: CacheDir = None,
    dataset: Dataset = None,
    split_by: SplitBy = None,
    split: Split = "val",
    protocol: Annotated[
        Literal["paper", "original", "both"], typer.Option("--protocol", help="How masks are compared.", rich_help_panel=_SCORED)
    ] = "both",
    control: Annotated[
        list[ControlName] | None,
        typer.Option(
            "--control",
            metavar="shuffled-text|no-image",
            help="Also score with sentences swapped, or grey images; can be repeated.",
            rich_help_panel=_SCORED,
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare",
            metavar="RESULTS|WEIGHTS",
            help="Earlier scores.json, other weights or a group of runs to compare with.",
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Print the scores as one LaTeX table for a paper.", rich_help_panel=_SHOWN)
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the scores as one Markdown table.", rich_help_panel=_SHOWN)] = False,
    groups: Annotated[
        bool, typer.Option("--groups", help="Also print scores by size, length, category, distractors, words.", rich_help_panel=_SHOWN)
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print every score, and what each means.", rich_help_panel=_SHOWN)
    ] = False,
    save_masks: Annotated[bool, typer.Option("--save-masks", help="Keep each mask in sentences.jsonl.", rich_help_panel=WRITTEN)] = False,
    empty_below: Annotated[
        int | None,
        typer.Option(
            "--empty-below",
            min=1,
            metavar="PIXELS",
            help="Count smaller masks as empty in gIoU, cIoU, N-acc, T-acc.",
            rich_help_panel=_SCORED,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, metavar="N", help="Seed of the resampled images behind the intervals.", rich_help_panel=_SCORED),
    ] = None,
    no_text_features: Annotated[
        bool,
        typer.Option(
            "--no-text-features", help="Run the text encoder even where cache-features stored its output.", rich_help_panel=COMPUTED
        ),
    ] = False,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Sentences per batch.", rich_help_panel=COMPUTED)] = 8,
    workers: Annotated[
        int, typer.Option("--workers", min=0, metavar="N", help="Processes that load data; 0: only the main one.", rich_help_panel=COMPUTED)
    ] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for scores.json and sentences.jsonl.", rich_help_panel=WRITTEN)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE", help="One HTML page: scores, histogram of IoU, sentences to look through.", rich_help_panel=WRITTEN
        ),
    ] = None,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    optimizations: Optimizations = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Score weights on every sentence of a split, under a named protocol.

    Example: cmirnet eval runs/refcoco-unc-swin-b --split testA
    """
    output = EvaluationOutputs(out, report, save_masks, overwrite)
    controls = tuple(each.value for each in dict.fromkeys(control or ()))
    beside = side_by_side(weights, compare, always=latex or markdown)
    if beside:
        refuse({"--save-masks": save_masks, "--groups": groups})
        refuse({"--latex": latex and markdown}, "beside --markdown: choose one")
    output.require_places(protocol)
    options = ModelOptions(weights[0], device, precision, optimizations, batch_size, tokenizer)
    if beside:
        find = partial(_data, cache or Path("cache"), dataset, split_by, split)
        paper: PaperFormat | None = "latex" if latex else "markdown" if markdown else None
        scoring = _scoring_options(seed, empty_below)
        asked = GroupsRequest(PROTOCOLS[protocol], split, controls, not no_text_features, workers, scoring, output, paper)
        evaluate_groups(beside, options, asked, find)
        return
    opened = named_model(options)
    data, splits = _data(cache or Path("cache"), dataset, split_by, split, opened.check())
    if compare:
        _check_compared(compare, options)

    from cmirnet_cli.engine.evaluation.run import EvaluationRequest
    from cmirnet_cli.engine.evaluation.run import evaluate as score
    from cmirnet_cli.engine.processes import joined
    from cmirnet_cli.reports.evaluation.comparison import compare as compare_results
    from cmirnet_cli.reports.evaluation.comparison import describe_comparison
    from cmirnet_cli.reports.evaluation.tables import printed

    scoring = _scoring_options(seed, empty_below)
    with joined() as process:
        model = opened.evaluated(process, workers)
        request = EvaluationRequest(splits, PROTOCOLS[protocol], controls, output.masks, not no_text_features, batch_size, workers, scoring)
        output.require_room(data, splits)
        if request.text_features:
            model = model.with_stored_text(data, console.notice)
        theirs = _other_results(compare, options, model, data, request, process) if compare else None
        result = score(model, data, request, progress=console.progress, process=process)
    if not process.first:
        return
    described = evaluate_outputs.described(result)
    comparisons: Sequence[Comparison] = ()
    if theirs:
        comparisons = compare_results(evaluate_outputs.as_results(result), theirs, scoring)
        described["comparison"] = describe_comparison(comparisons, theirs.origin)
    output.write(result, comparisons, described)
    if report:
        described["report"] = report
    console.result(
        described, *printed(result.reports, comparisons, scoring, title=evaluate_outputs.title(result), groups=groups, verbose=verbose)
    )


def _scoring_options(seed: int | None, empty_below: int | None) -> ScoringOptions:
    from cmirnet_cli.metrics.intervals import Resampling
    from cmirnet_cli.metrics.split_report import ScoringOptions

    usual = ScoringOptions()
    resampling = usual.resampling if seed is None else Resampling(seed=seed)
    return ScoringOptions(resampling, usual.empty_below if empty_below is None else empty_below)


def _data(root: Path, dataset: str | None, split_by: str | None, split: str, model: KnownModel) -> tuple[Cache, tuple[str, ...]]:
    """The cache that was named, else the one of the data the weights were trained on, else the only one there is; and its splits to score.

    Raises:
        CacheError: there is none, or it lacks a split, or the size that the weights need.
    """
    from cmirnet_cli.cache.folder import find_cache, require_prepared_for
    from cmirnet_cli.cache.reader import Cache

    sizes = [model.image_size] if model.image_size else []
    if dataset is None and split_by is None and model.dataset and (root / model.dataset).is_dir():
        cache = Cache.open(root / model.dataset)
    else:
        cache = Cache.open(find_cache(root, dataset, split_by, sizes))
    splits = tuple(cache.splits) if split == "all" else (split,)
    require_prepared_for(cache.folder, cache.manifest, splits=splits, sizes=sizes)
    return cache, splits


def _check_compared(source: str, options: ModelOptions) -> None:
    """Refuse to compare with what is nowhere.

    Raises:
        WeightsError: it is neither earlier results nor weights.
    """
    from cmirnet_cli.reports.evaluation.results import holds_results

    if not holds_results(Path(source)):
        named_model(replace(options, weights=source)).check()


def _other_results(
    source: str, options: ModelOptions, model: EvaluatedModel, cache: Cache, request: EvaluationRequest, process: Process
) -> Results:
    """What `--compare` names: results as they were written, or other weights scored now.

    Raises:
        DataError: they cannot be compared with what is to be scored. That is found out before anything is scored.
    """
    from cmirnet_cli.engine.evaluation.run import evaluate as score
    from cmirnet_cli.reports.evaluation.results import holds_results, read_results, require_comparable

    ours = evaluate_outputs.origin(model, cache, request)
    if holds_results(Path(source)):
        earlier = read_results(Path(source))
        require_comparable(ours, earlier.origin)
        return earlier
    other = named_model(replace(options, weights=source)).evaluated(process, request.workers)
    if request.text_features:
        other = other.with_stored_text(cache, console.notice)
    require_comparable(ours, evaluate_outputs.origin(other, cache, request))
    lean = replace(request, controls=(), keep_masks=False)
    return evaluate_outputs.as_results(score(other, cache, lean, progress=console.progress, process=process))
