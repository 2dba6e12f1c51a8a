"""`cmirnet eval` with several runs: which of them belong together, and what they score side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cmirnet_cli.commands import evaluate_outputs
from cmirnet_cli.commands.models import KnownModel, ModelOptions, named_model
from cmirnet_cli.console import console
from cmirnet_cli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.commands.models import OnnxModel, TorchModel
    from cmirnet_cli.engine.processes import Process
    from cmirnet_cli.metrics.intervals import Resampling
    from cmirnet_cli.reports.evaluation.results import Results

GROUPS = "groups.json"
PaperFormat = Literal["latex", "markdown"]


@dataclass(frozen=True)
class NamedGroup:
    """Weights or results of runs that belong together, as they were named."""

    name: str
    sources: tuple[str, ...]


def side_by_side(weights: Sequence[str], compare: str | None, *, always: bool) -> list[NamedGroup]:
    """The groups to put beside each other, what is compared with first; none where a single model is scored in full.

    Raises as `groups_named` does.
    """
    named = groups_named(weights)
    others = groups_named([compare]) if compare else []
    if not always and len(weights) == 1 and all(len(group.sources) == 1 for group in [*named, *others]):
        return []
    return [*others, *named]


def refuse(options: Mapping[str, object], why: str = "with several runs: it is about one model") -> None:
    """Refuse options that were given.

    Raises:
        UsageError: names the first of them.
    """
    if given := [name for name, value in options.items() if value]:
        raise UsageError(f"{given[0]} cannot be given {why}", hint="leave it out, or score one run at a time")


def groups_named(words: Sequence[str]) -> list[NamedGroup]:
    """The groups among what was named: a folder of `train --seeds`, and runs whose recipes differ in nothing but the seed.

    Anything else is a group of its own.

    Raises:
        WeightsError: a run of such a folder has no weights yet.
        UsageError: something is named twice.
    """
    if twice := [word for place, word in enumerate(words) if word in words[:place]]:
        raise UsageError(f"{twice[0]} is named twice", hint="name each once")
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for word in words:
        runs = seed_runs(Path(word))
        names, sources = groups.setdefault(word if runs else _recipe(Path(word)) or word, ([], []))
        names.append(Path(word).resolve().name)
        sources.extend(map(str, runs) if runs else [word])
    named = [NamedGroup(_common_name(names), tuple(sources)) for names, sources in groups.values()]
    names = [group.name for group in named]
    return [replace(group, name=group.sources[0]) if names.count(group.name) > 1 else group for group in named]


def seed_runs(folder: Path) -> list[Path]:
    """The runs that `train --seeds` wrote to a folder, or what `eval --out` wrote of them, by seed; none where it is no such folder.

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
        text_features: whether features that the cache stores stand in for the text encoder.
        workers: processes that load data; 0: no others.
        seed: of the resampled images; None: the usual one.
        out: folder of `groups.json` and of the files of each run.
        paper: the form of a table for a paper; None: the one for terminals.
    """

    protocols: tuple[str, ...]
    split: str
    text_features: bool
    workers: int
    seed: int | None
    out: Path | None
    paper: PaperFormat | None


Find = Callable[[KnownModel], "tuple[Cache, tuple[str, ...]]"]
"""The cache, and its splits to score, for a model that is known but not loaded yet."""


def evaluate_groups(groups: Sequence[NamedGroup], options: ModelOptions, asked: GroupsRequest, find: Find) -> None:
    """Score every run that is no result yet, and print the groups side by side; differences are to the first."""
    from cmirnet_cli.reports.evaluation.results import SCHEMA_VERSION, holds_results

    models = {
        source: named_model(replace(options, weights=source))
        for group in groups
        for source in group.sources
        if not holds_results(Path(source))
    }
    known = [model.check() for model in models.values()]
    data = [find(each) for each in known][:1]

    from cmirnet_cli.engine.processes import joined
    from cmirnet_cli.files import write_text
    from cmirnet_cli.metrics.intervals import Resampling
    from cmirnet_cli.reports.evaluation import groups as reports
    from cmirnet_cli.reports.evaluation.results import read_results

    with joined() as process:
        scored = []
        for group in groups:
            runs = [
                _scored(models[source], *data[0], asked, _place(group, source, asked.out), process)
                if source in models
                else read_results(Path(source))
                for source in group.sources
            ]
            scored.append(reports.RunGroup(group.name, tuple(runs)))
    if not process.first:
        return
    first = scored[0].runs[0].origin
    resampling = Resampling() if asked.seed is None else Resampling(seed=asked.seed)
    splits = first.splits if asked.split == "all" else (asked.split,)
    blocks = reports.compare_groups(scored, splits, asked.protocols, resampling)
    described = _described(asked, resampling) | reports.describe_groups(scored, blocks)
    if asked.out:
        text = json.dumps({"schema_version": SCHEMA_VERSION, **described}, indent=2, allow_nan=False)
        write_text(asked.out / GROUPS, text + "\n")
        console.notice(f"wrote {asked.out / GROUPS}")
    if asked.paper:
        console.result(described, reports.latex_table(blocks) if asked.paper == "latex" else reports.markdown_table(blocks))
    else:
        title = f"{data[0][0].manifest.dataset} ({data[0][0].manifest.split_by})" if data else "runs side by side"
        console.result(described, *reports.printed_groups_of_runs(blocks, title=title))


def _scored(
    model: TorchModel | OnnxModel, cache: Cache, splits: tuple[str, ...], asked: GroupsRequest, place: Path | None, process: Process
) -> Results:
    """What a run scores now; written to `place`, where there is one."""
    from cmirnet_cli.engine.evaluation.run import EvaluationRequest, evaluate
    from cmirnet_cli.reports.evaluation.results import write_results

    request = EvaluationRequest(splits, asked.protocols, (), False, asked.text_features, model.options.batch_size, asked.workers)
    opened = model.evaluated(process, asked.workers)
    if request.text_features:
        opened = opened.with_stored_text(cache, console.notice)
    result = evaluate(opened, cache, request, progress=console.progress, process=process)
    if place and process.first:
        write_results(place, evaluate_outputs.described(result), [each.without_masks() for each in result.scores])
    return evaluate_outputs.as_results(result)


def _place(group: NamedGroup, source: str, out: Path | None) -> Path | None:
    """Where the files of a run go: a folder of the group's name, and in it one for each of several runs."""
    if out is None:
        return None
    return out / _safe(group.name) / (_safe(Path(source).name) if len(group.sources) > 1 else "")


def _described(asked: GroupsRequest, resampling: Resampling) -> dict[str, Any]:
    from dataclasses import asdict

    from cmirnet_cli import __version__
    from cmirnet_cli.metrics.intervals import LEVEL
    from cmirnet_cli.metrics.scores import METRICS, PROTOCOLS
    from cmirnet_cli.reports.evaluation.results import INTERVALS

    return {
        "program": __version__,
        "metrics": {metric.name: {"heading": metric.heading, "level": metric.level} for metric in METRICS},
        "protocols": {name: PROTOCOLS[name] for name in asked.protocols},
        "intervals": {"method": INTERVALS, "level": LEVEL, **asdict(resampling)},
    }


def _recipe(run: Path) -> str | None:
    """What a run directory was trained by, its seed left out, as text; None of anything else."""
    from cmirnet_cli.config import resolve, to_yaml

    if not (run / "config.yaml").is_file():
        return None
    settings = resolve(run / "config.yaml")
    return to_yaml(settings.model_copy(update={"loop": settings.loop.model_copy(update={"seed": 0, "track": ()})}))


def _common_name(names: Sequence[str]) -> str:
    """The name of a folder of runs, or of runs without what tells their seeds apart."""
    return names[0] if len(names) == 1 else re.sub(r"[-_. ]+(seed[-_. ]*)?\d+$", "", names[0])


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "run"
