"""Weights, what they are scored on, and what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cmirnet_cli.commands.exported import exported_bundle
from cmirnet_cli.console import console

if TYPE_CHECKING:
    import torch

    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.engine.evaluation import Judge, SplitScores
    from cmirnet_cli.engine.shards import Shard
    from cmirnet_cli.reports.comparison import Comparison
    from cmirnet_cli.reports.results import Origin, Results
    from cmirnet_cli.reports.scores_file import Rules, SplitReport


@dataclass(frozen=True)
class Examined:
    """Weights, or an exported bundle, that are scored; `dataset` is what they were trained on, empty where that is not known."""

    source: str
    sha256: str
    judge: Judge
    image_size: int
    dataset: str
    precision: str = "fp32"


@dataclass(frozen=True)
class Task:
    """What they are scored on, which of several processes this is, and whether text features of the cache stand in for the text encoder
    where they are its own."""

    cache: Cache
    splits: tuple[str, ...]
    protocols: tuple[str, ...]
    text_features: bool
    shard: Shard

    def origin(self, examined: Examined) -> Origin:
        """What must agree for a comparison."""
        from cmirnet_cli.reports.results import Origin

        key, size = self.cache.manifest.fingerprint.key, examined.image_size
        return Origin(examined.source, examined.sha256, key, size, self.splits, self.protocols)

    def prepared(self, examined: Examined) -> Examined:
        """The same weights, with the text features that they are to use."""
        from cmirnet_cli.engine.text_features import TextReader, describe_features, matching_features
        from cmirnet_cli.model.segmenter import ReferringModel

        judge = examined.judge
        if not self.text_features or not isinstance(judge.model, ReferringModel):
            return examined
        make = shlex.join(["cmirnet", "cache-features", str(self.cache.folder), "--weights", examined.source])
        reader = TextReader(judge.model.text, judge.tokenizer, judge.tokens)
        features = matching_features(self.cache, reader, f"make them with: {make}; or score without any: --no-text-features")
        if features is not None:
            console.notice(f"in place of the text encoder: {describe_features(features)}")
        return replace(examined, judge=replace(judge, features=features))

    def score(self, examined: Examined, controls: Sequence[str] = (), keep_masks: bool = False) -> list[SplitScores]:
        """Score every split, with a display of progress."""
        return [_score(examined, self, split, controls, keep_masks) for split in self.splits]


@dataclass(frozen=True)
class Outcome:
    """What came of it, and the same as plain data."""

    reports: Sequence[SplitReport]
    comparisons: Sequence[Comparison]
    data: Mapping[str, object]

    @classmethod
    def of(cls, task: Task, examined: Examined, scored: Sequence[SplitScores], rules: Rules, theirs: Results | None) -> Outcome:
        """Measure everything, and the differences to `theirs`."""
        from cmirnet_cli.reports.comparison import compare, describe_comparison
        from cmirnet_cli.reports.results import Results
        from cmirnet_cli.reports.scores_file import describe, report

        reports = [report(each, rules) for each in scored]
        origin = task.origin(examined)
        described = {**_described_run(task, examined, origin), **describe(reports, rules)}
        if theirs is None:
            return cls(reports, (), described)
        compared = compare(Results(origin, {each.split: each.sentences for each in scored}), theirs, rules.resampling)
        return cls(reports, compared, {**described, "comparison": describe_comparison(compared, theirs.origin)})


def examine(weights: str, target: torch.device, batch_size: int, workers: int) -> Examined:
    """Load weights or an exported bundle, and put them where they are to run."""
    if bundle := exported_bundle(weights):
        return _examine_exported(weights, bundle, target, batch_size, workers)
    from cmirnet_cli.engine.evaluation import Judge
    from cmirnet_cli.weights.source import fingerprint, load_weights

    loaded = load_weights(weights)
    judge = Judge(loaded.model.to(target), loaded.tokenizer, loaded.config.tokens, target, batch_size, workers)
    return Examined(weights, fingerprint(weights), judge, loaded.config.image_size, loaded.config.dataset)


def _examine_exported(source: str, folder: Path, target: torch.device, batch_size: int, workers: int) -> Examined:
    import torch

    from cmirnet_cli.engine.evaluation import Judge
    from cmirnet_cli.export.exported import ExportedModel
    from cmirnet_cli.export.judged import ExportedReferring
    from cmirnet_cli.export.spec import fingerprint
    from cmirnet_cli.weights.encoder import load_tokenizer

    exported = ExportedModel.open(folder, str(target))
    spec, cpu = exported.spec, torch.device("cpu")
    judge = Judge(ExportedReferring(exported), load_tokenizer(str(folder)), exported.tokens, cpu, batch_size, workers)
    return Examined(source, fingerprint(folder), judge, spec.input.image_size, spec.origin.dataset, spec.precision)


def compared_with(source: str, task: Task, ours: Examined) -> Results:
    """What is compared with: results as they were written, or other weights scored now. What cannot be compared is refused first."""
    from cmirnet_cli.reports.results import Results, holds_results, read_results, require_comparable

    if holds_results(Path(source)):
        earlier = read_results(Path(source))
        require_comparable(task.origin(ours), earlier.origin)
        return earlier
    judge = ours.judge
    other = task.prepared(examine(source, judge.device, judge.batch_size, judge.workers))
    origin = task.origin(other)
    require_comparable(task.origin(ours), origin)
    return Results(origin, {each.split: each.sentences for each in task.score(other)})


def _score(examined: Examined, task: Task, split: str, controls: Sequence[str], keep_masks: bool) -> SplitScores:
    from cmirnet_cli.engine.evaluation import evaluate_split

    judge, size = replace(examined.judge, keep_masks=keep_masks), examined.image_size
    progress = partial(console.progress, f"score {examined.source} on {split}")
    return evaluate_split(judge, task.cache, split, size, task.protocols, controls=controls, progress=progress, shard=task.shard)


def _described_run(task: Task, examined: Examined, origin: Origin) -> dict[str, object]:
    """What the scores are scores of, and what computed them."""
    from cmirnet_cli import __version__
    from cmirnet_cli.engine.environment import environment

    manifest, judge = task.cache.manifest, examined.judge
    return {
        "program": __version__,
        "libraries": environment()["libraries"],
        "weights": {"source": origin.source, "sha256": origin.sha256},
        "data": {"dataset": manifest.dataset, "split_by": manifest.split_by, "fingerprint": origin.data},
        "settings": {
            "image_size": examined.image_size,
            "tokens": judge.tokens,
            "batch_size": judge.batch_size,
            "device": str(judge.device),
            "precision": examined.precision,
            "text_features": judge.features.manifest.facts.dtype if judge.features else None,
        },
    }
