"""`cmirnet eval` with several runs: which of them belong together, and what they score side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cmirnet_cli.commands import evaluate_outputs
from cmirnet_cli.commands.models import KnownModel, ModelOptions, named_model
from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.commands.evaluate_outputs import EvaluationOutputs
    from cmirnet_cli.commands.models import OnnxModel, TorchModel
    from cmirnet_cli.engine.evaluation.run import EvaluationResult
    from cmirnet_cli.engine.processes import Process
    from cmirnet_cli.metrics.sentences import SplitScores
    from cmirnet_cli.metrics.split_report import ScoringOptions
    from cmirnet_cli.reports.evaluation.groups import GroupBlock
    from cmirnet_cli.reports.evaluation.results import ScoresOrigin

GROUPS = "groups.json"
PaperFormat = Literal["latex", "markdown"]


@dataclass(frozen=True)
class NamedGroup:
    """Weights or results of runs that belong together: what to call them, what was typed for the first, and all of them."""

    name: str
    typed: str
    sources: tuple[str, ...]


def side_by_side(weights: Sequence[str], compare: str | None, *, always: bool) -> list[NamedGroup]:
    """The groups to put beside each other, what is compared with first; none where a single model is scored in full.

    Raises:
        WeightsError: a run of a folder of `train --seeds` has no weights yet.
        UsageError: something is named twice.
    """
    named = [*(groups_named([compare]) if compare else []), *groups_named(weights)]
    if not always and len(weights) == 1 and all(len(group.sources) == 1 for group in named):
        return []
    words = [*weights, *([compare] if compare else [])]
    places = [str(Path(word).resolve()) if Path(word).exists() else word for word in words]
    if twice := [word for number, word in enumerate(words) if places[number] in places[:number]]:
        raise UsageError(f"{twice[0]} is named twice", hint="name each once")
    names = [group.name for group in named]
    return [replace(group, name=group.typed) if names.count(group.name) > 1 else group for group in named]


def refuse(options: Mapping[str, object], why: str = "with several runs: it is about one model") -> None:
    """Refuse options that were given.

    Raises:
        UsageError: names the first of them.
    """
    if given := [name for name, value in options.items() if value]:
        raise UsageError(f"{given[0]} cannot be given {why}", hint="leave it out, or score one run at a time")


def groups_named(words: Sequence[str]) -> list[NamedGroup]:
    """The groups among what was typed: a folder of `train --seeds`, and runs whose recipes differ in the seed and in nothing else.

    Anything else is a group of its own, also a second run with the same seed: its code was another, or it tells nothing about seeds.

    Raises:
        WeightsError: a run of such a folder has no weights yet.
    """
    groups: dict[str, tuple[list[str], list[str]]] = {}
    seen: set[tuple[str, int]] = set()
    for word in words:
        runs = seed_runs(Path(word))
        known = None if runs else _recipe(Path(word))
        typed, sources = groups.setdefault(known[0] if known and known not in seen else word, ([], []))
        if known:
            seen.add(known)
        typed.append(word)
        sources.extend(map(str, runs) if runs else [word])
    return [NamedGroup(_common_name(typed), typed[0], tuple(sources)) for typed, sources in groups.values()]


def seed_runs(folder: Path) -> list[Path]:
    """The runs that `train --seeds` wrote to a folder, or what `eval --out` wrote of them, by seed; none if it is not such a folder.

    Raises:
        WeightsError: a run has no weights yet.
    """
    from cmirnet_cli.reports.evaluation.results import holds_results

    runs = [each for each in folder.glob("seed-*") if (each / "config.yaml").is_file() or holds_results(each)]
    for run in runs:
        if not holds_results(run) and not (run / "weights" / "best").is_dir():
            hint = "let `cmirnet train --seeds` finish, or name the runs that have some"
            raise WeightsError(f"{run} has no weights yet", hint=hint)
    return sorted(runs, key=lambda run: (len(run.name), run.name))


@dataclass(frozen=True)
class GroupsRequest:
    """How runs are scored, and where and how that is shown.

    Attributes:
        protocols: under which they are scored.
        split: one, or all.
        controls: what is scored besides.
        text_features: whether features that the cache stores stand in for the text encoder.
        workers: processes that load data; 0: only the main one.
        scoring: how intervals are drawn, and which mask counts as empty.
        output: the folder of `groups.json` and of the files of each run, the page, and whether earlier files may be replaced.
        paper: the form of a table for a paper; None: the one for terminals.
    """

    protocols: tuple[str, ...]
    split: str
    controls: tuple[str, ...]
    text_features: bool
    workers: int
    scoring: ScoringOptions
    output: EvaluationOutputs
    paper: PaperFormat | None


Find = Callable[[KnownModel], "tuple[Cache, tuple[str, ...]]"]
"""The cache, and its splits to score, for a model that is known but not loaded yet."""


def evaluate_groups(groups: Sequence[NamedGroup], options: ModelOptions, asked: GroupsRequest, find: Find) -> None:
    """Score every run that has no results yet, and print the groups side by side; differences are to the first."""
    from cmirnet_cli.reports.evaluation.results import holds_results, read_results

    sources, output = [source for group in groups for source in group.sources], asked.output
    results = {source: read_results(Path(source)) for source in sources if holds_results(Path(source))}
    _refuse_scores_alone(list(results), asked)
    models = {source: named_model(replace(options, weights=source)) for source in sources if source not in results}
    known = {source: model.check() for source, model in models.items()}
    dataset = next((each.dataset for each in known.values()), "")
    data = [find(replace(each, dataset=dataset)) for each in known.values()][:1]
    _require_comparable(sources, {source: each.origin for source, each in results.items()}, known, data, asked)
    _name_unfinished(models)
    places = {source: _place(group, source, output.out) for group in groups for source in group.sources if source in models}
    _require_places(output, places.values())
    if data:
        output.require_room(*data[0])

    from cmirnet_cli.engine.processes import joined
    from cmirnet_cli.reports.evaluation import groups as reports
    from cmirnet_cli.reports.evaluation.groups_page import GroupsPage

    shown = {group.sources[0]: group.name for group in groups} if output.report else {}
    pictured: dict[str, tuple[SplitScores, ...]] = {}
    with joined() as process:
        for source, model in models.items():
            result = _scored(model, *data[0], asked, process, keep_masks=source in shown)
            results[source] = evaluate_outputs.as_results(result)
            if source in shown:
                pictured[shown[source]] = result.scores
            if process.first:
                _write_run(places[source], result)
    if not process.first:
        return
    scored = [reports.RunGroup(group.name, tuple(results[source] for source in group.sources)) for group in groups]
    first = scored[0].runs[0].origin
    splits = first.splits if asked.split == "all" else (asked.split,)
    blocks = reports.compare_groups(scored, splits, asked.protocols, asked.scoring)
    described = _described(asked, blocks) | reports.describe_groups(scored, blocks)
    title = f"{data[0][0].manifest.dataset} ({data[0][0].manifest.split_by})" if data else "runs side by side"
    _write_groups(output.out, described)
    if output.report:
        output.write_groups(GroupsPage(title, blocks, pictured, asked.scoring, described), data[0][0])
    if asked.paper:
        console.result(described, reports.latex_table(blocks) if asked.paper == "latex" else reports.markdown_table(blocks))
    else:
        console.result(described, *reports.printed_groups_of_runs(blocks, asked.scoring, title=title))


def _require_comparable(
    sources: Sequence[str],
    origins: Mapping[str, ScoresOrigin],
    known: Mapping[str, KnownModel],
    data: Sequence[tuple[Cache, tuple[str, ...]]],
    asked: GroupsRequest,
) -> None:
    """Refuse runs that cannot be put beside each other, before any of them is scored.

    Raises:
        DataError: names the first one and what differs.
    """
    from cmirnet_cli.config.published import IMAGE_SIZE
    from cmirnet_cli.reports.evaluation.results import ScoresOrigin, require_comparable

    expected = dict(origins)
    for source, model in known.items():
        cache, splits = data[0]
        size = model.image_size or IMAGE_SIZE
        expected[source] = ScoresOrigin(source, "", cache.manifest.fingerprint.key, size, splits, asked.protocols)
    first = expected[sources[0]]
    splits = first.splits if asked.split == "all" else (asked.split,)
    for source in sources:
        require_comparable(replace(first, splits=splits, protocols=asked.protocols), expected[source])


def _name_unfinished(runs: Iterable[str]) -> None:
    """Say which runs have epochs left: their scores are not yet those of the recipe."""
    from cmirnet_cli.engine.training.run_directory import RunDirectory

    for source in runs:
        directory = RunDirectory.found(Path(source))
        done = directory.epochs() if directory else []
        if directory and done and done[-1].epoch < (epochs := directory.settings().schedule.epochs):
            console.notice(f"{source} has {done[-1].epoch} of its {epochs} epochs: it is scored as it is")


def _refuse_scores_alone(results: Sequence[str], asked: GroupsRequest) -> None:
    """Refuse earlier results where the run itself is needed.

    Raises:
        UsageError: names the first of them, and the option that needs its run.
    """
    needing = [option for option, value in {"--control": asked.controls, "--report": asked.output.report}.items() if value]
    if results and needing:
        wrong = f"{results[0]} holds scores alone, and {needing[0]} needs the run"
        raise UsageError(wrong, hint=f"name the run itself in its place, or leave {needing[0]} out")


def _require_places(output: EvaluationOutputs, places: Iterable[Path | None]) -> None:
    """Refuse to write where files stand that may not be replaced.

    Raises:
        UsageError: one exists.
    """
    from cmirnet_cli.files.checks import require_free
    from cmirnet_cli.reports.evaluation.results import require_place

    if output.out:
        require_free([output.out / GROUPS], overwrite=output.overwrite)
    for place in filter(None, places):
        require_place(place, overwrite=output.overwrite)


def _write_run(place: Path | None, result: EvaluationResult) -> None:
    from cmirnet_cli.reports.evaluation.results import write_results

    if place:
        write_results(place, evaluate_outputs.described(result), [each.without_masks() for each in result.scores])


def _write_groups(out: Path | None, described: Mapping[str, Any]) -> None:
    from cmirnet_cli.files import write_text
    from cmirnet_cli.reports.evaluation.results import SCHEMA_VERSION

    if out:
        text = json.dumps({"schema_version": SCHEMA_VERSION, **described}, indent=2, allow_nan=False)
        write_text(out / GROUPS, text + "\n")
        console.notice(f"wrote {out / GROUPS}")


def _scored(
    model: TorchModel | OnnxModel, cache: Cache, splits: tuple[str, ...], asked: GroupsRequest, process: Process, *, keep_masks: bool
) -> EvaluationResult:
    """What a run scores now."""
    from cmirnet_cli.engine.evaluation.run import EvaluationRequest, evaluate

    how = asked.text_features, model.options.batch_size, asked.workers, asked.scoring
    request = EvaluationRequest(splits, asked.protocols, asked.controls, keep_masks, *how)
    opened = model.evaluated(process, asked.workers)
    if request.text_features:
        opened = opened.with_stored_text(cache, console.notice)
    return evaluate(opened, cache, request, progress=console.progress, process=process)


def _place(group: NamedGroup, source: str, out: Path | None) -> Path | None:
    """Where the files of a run go: a folder of the group's name, and in it one for each of several runs."""
    if out is None:
        return None
    names = [Path(each).name for each in group.sources]
    own = Path(source).name if names.count(Path(source).name) == 1 else source
    return out / _safe(group.name) / (_safe(own) if len(names) > 1 else "")


def _described(asked: GroupsRequest, blocks: Sequence[GroupBlock]) -> dict[str, Any]:
    from dataclasses import asdict

    from cmirnet_cli import __version__
    from cmirnet_cli.metrics.intervals import LEVEL
    from cmirnet_cli.metrics.scores import PROTOCOLS
    from cmirnet_cli.metrics.sentences import CONTROLS
    from cmirnet_cli.reports.evaluation.results import INTERVALS

    metrics = {metric.name: metric for block in blocks for metric in block.metrics}
    return {
        "program": __version__,
        "metrics": {name: {"heading": metric.heading, "level": metric.level} for name, metric in metrics.items()},
        "protocols": {name: PROTOCOLS[name] for name in asked.protocols},
        "controls": {name: CONTROLS[name] for name in asked.controls},
        "empty_below": asked.scoring.empty_below,
        "intervals": {"method": INTERVALS, "level": LEVEL, **asdict(asked.scoring.resampling)},
    }


def _recipe(run: Path) -> tuple[str, int] | None:
    """All settings and data that the numbers of a run directory depend on but its seed, as text, and the seed; None of anything else."""
    from cmirnet_cli.engine.training.requirements import FREE_TO_CHANGE
    from cmirnet_cli.engine.training.run_directory import RunDirectory

    directory = RunDirectory.found(run)
    if directory is None:
        return None
    settings = directory.settings()
    sections = settings.model_dump(mode="json").items()
    values = {f"{section}.{key}": value for section, own in sections for key, value in own.items()}
    recipe = json.dumps([directory.data, {name: values[name] for name in values if name not in {*FREE_TO_CHANGE, "loop.seed"}}])
    return recipe, settings.loop.seed


def _common_name(typed: Sequence[str]) -> str:
    """What a folder of runs is called, or runs without what tells their seeds apart."""
    name = Path(typed[0]).resolve().name
    return name if len(typed) == 1 else re.sub(r"[-_. ]+(seed[-_. ]*)?\d+$", "", name)


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "run"
