"""Weights, what they are scored on, and what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cmirnet_cli.commands.exported import export_device, exported_model, require_as_exported
from cmirnet_cli.console import console

if TYPE_CHECKING:
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.engine.evaluation.loop import Evaluator
    from cmirnet_cli.engine.inference import Inference
    from cmirnet_cli.engine.shards import Shard
    from cmirnet_cli.engine.text_features import TextReader
    from cmirnet_cli.metrics.sentences import SplitScores
    from cmirnet_cli.metrics.split_report import Rules, SplitReport
    from cmirnet_cli.reports.evaluation.comparison import Comparison
    from cmirnet_cli.reports.evaluation.results import Results, ScoresOrigin


@dataclass(frozen=True)
class Computing:
    """Where and how weights are computed, how many sentences go through at once, how many processes load images."""

    device: str
    shard: Shard
    inference: Inference
    batch_size: int
    workers: int


@dataclass(frozen=True)
class Arithmetic:
    """Where, in what numbers, and with which optimizations, something was computed in the end."""

    device: str
    precision: str
    optimizations: tuple[str, ...]


@dataclass(frozen=True)
class EvaluatedModel:
    """Weights, or an export, that are scored.

    Attributes:
        source: as named on the command line.
        sha256: names them in results.
        evaluator: loaded, ready to be scored.
        image_size: of their input.
        dataset: what they were trained on; empty where that is not known.
        computing: as it was asked for.
        arithmetic: as it came to be.
        text: what text features can stand in for; None for an export, whose graph reads the sentences itself.
    """

    source: str
    sha256: str
    evaluator: Evaluator
    image_size: int
    dataset: str
    computing: Computing
    arithmetic: Arithmetic
    text: TextReader | None


@dataclass(frozen=True)
class Task:
    """What they are scored on, which of several processes this is, and whether text features of the cache stand in for the text encoder
    where they are its own."""

    cache: Cache
    splits: tuple[str, ...]
    protocols: tuple[str, ...]
    text_features: bool
    shard: Shard

    @property
    def title(self) -> str:
        """The data set."""
        manifest = self.cache.manifest
        return f"{manifest.dataset} ({manifest.split_by})"

    def sentences(self, split: str) -> int:
        """How many a split has."""
        return int(self.cache.sentence_counts(self.cache.referents(split)).sum())

    def origin(self, examined: EvaluatedModel) -> ScoresOrigin:
        """What must agree for a comparison."""
        from cmirnet_cli.reports.evaluation.results import ScoresOrigin

        key, size = self.cache.manifest.fingerprint.key, examined.image_size
        return ScoresOrigin(examined.source, examined.sha256, key, size, self.splits, self.protocols)

    def prepared(self, examined: EvaluatedModel) -> EvaluatedModel:
        """The same weights, with the text features that they are to use."""
        from cmirnet_cli.engine.text_features import describe_features, matching_features

        if not self.text_features or examined.text is None:
            return examined
        make = shlex.join(["cmirnet", "cache-features", str(self.cache.folder), "--weights", examined.source])
        features = matching_features(self.cache, examined.text, f"make them with: {make}; or score without any: --no-text-features")
        if features is not None:
            console.notice(f"using stored text features instead of the text encoder: {describe_features(features)}")
        return replace(examined, evaluator=replace(examined.evaluator, features=features))

    def score(self, examined: EvaluatedModel, controls: Sequence[str] = (), keep_masks: bool = False) -> list[SplitScores]:
        """Score every split, with a display of progress."""
        return [_score(examined, self, split, controls, keep_masks) for split in self.splits]


@dataclass(frozen=True)
class EvaluationResult:
    """What came of it, and the same as plain data."""

    reports: Sequence[SplitReport]
    comparisons: Sequence[Comparison]
    data: Mapping[str, object]

    @classmethod
    def of(
        cls, task: Task, examined: EvaluatedModel, scored: Sequence[SplitScores], rules: Rules, theirs: Results | None
    ) -> EvaluationResult:
        """Measure everything, and the differences to `theirs`."""
        from cmirnet_cli.metrics.split_report import report
        from cmirnet_cli.reports.evaluation.comparison import compare, describe_comparison
        from cmirnet_cli.reports.evaluation.results import Results, describe

        reports = [report(each, rules) for each in scored]
        origin = task.origin(examined)
        described = {**_described_run(task, examined, origin), **describe(reports, rules)}
        if theirs is None:
            return cls(reports, (), described)
        compared = compare(Results(origin, {each.split: each.sentences for each in scored}), theirs, rules.resampling, rules.metrics)
        return cls(reports, compared, {**described, "comparison": describe_comparison(compared, theirs.origin)})


def examine(weights: str, computing: Computing) -> EvaluatedModel:
    """Load weights or an export, and put them where they are to run."""
    if export := exported_model(weights):
        return _examine_exported(weights, export, computing)
    from cmirnet_cli.engine.evaluation.loop import Evaluator
    from cmirnet_cli.engine.text_features import TextReader
    from cmirnet_cli.weights.source import fingerprint, load_weights

    device, inference = computing.shard.device(computing.device), computing.inference
    loaded = inference.prepare(load_weights(weights), device)
    config, arithmetic = loaded.config, Arithmetic(str(device), inference.precision, inference.on(device))
    text = TextReader(loaded.model.text, loaded.tokenizer, config.tokens)
    evaluator = Evaluator(loaded.model, loaded.tokenizer, config.tokens, device, computing.batch_size, computing.workers)
    return EvaluatedModel(weights, fingerprint(weights), evaluator, config.image_size, config.dataset, computing, arithmetic, text)


def _examine_exported(source: str, folder: Path, computing: Computing) -> EvaluatedModel:
    import torch

    from cmirnet_cli.engine.evaluation.loop import Evaluator
    from cmirnet_cli.engine.inference import Inference
    from cmirnet_cli.export.runtime import ExportedModel
    from cmirnet_cli.export.scoring import ExportedReferring
    from cmirnet_cli.export.spec import AGAIN, fingerprint
    from cmirnet_cli.weights.encoder import load_tokenizer

    require_as_exported(source, usual=computing.inference == Inference())
    device = export_device(computing.device, computing.shard)
    exported = ExportedModel.open(folder, device)
    spec, loop = exported.spec, (torch.device("cpu"), computing.batch_size, computing.workers)
    evaluator = Evaluator(ExportedReferring(exported), load_tokenizer(str(folder), AGAIN), exported.tokens, *loop)
    arithmetic = Arithmetic(device, spec.precision, ())
    return EvaluatedModel(source, fingerprint(folder), evaluator, spec.input.image_size, spec.origin.dataset, computing, arithmetic, None)


def compared_with(source: str, task: Task, ours: EvaluatedModel) -> Results:
    """What is compared with: results as they were written, or other weights scored now. What cannot be compared is refused first."""
    from cmirnet_cli.reports.evaluation.results import Results, holds_results, read_results, require_comparable

    if holds_results(Path(source)):
        earlier = read_results(Path(source))
        require_comparable(task.origin(ours), earlier.origin)
        return earlier
    other = task.prepared(examine(source, ours.computing))
    origin = task.origin(other)
    require_comparable(task.origin(ours), origin)
    return Results(origin, {each.split: each.sentences for each in task.score(other)})


def _score(examined: EvaluatedModel, task: Task, split: str, controls: Sequence[str], keep_masks: bool) -> SplitScores:
    from cmirnet_cli.engine.evaluation.loop import evaluate_split

    evaluator, size = replace(examined.evaluator, keep_masks=keep_masks), examined.image_size
    progress = partial(console.progress, f"score {examined.source} on {split}")
    return evaluate_split(evaluator, task.cache, split, size, task.protocols, controls=controls, progress=progress, shard=task.shard)


def _described_run(task: Task, examined: EvaluatedModel, origin: ScoresOrigin) -> dict[str, object]:
    """What the scores are scores of, and what computed them."""
    from cmirnet_cli import __version__
    from cmirnet_cli.engine.environment import library_versions

    manifest, evaluator = task.cache.manifest, examined.evaluator
    return {
        "program": __version__,
        "libraries": library_versions(),
        "weights": {"source": origin.source, "sha256": origin.sha256},
        "data": {"dataset": manifest.dataset, "split_by": manifest.split_by, "fingerprint": origin.data},
        "settings": {
            "image_size": examined.image_size,
            "tokens": evaluator.tokens,
            "batch_size": evaluator.batch_size,
            "device": examined.arithmetic.device,
            "precision": examined.arithmetic.precision,
            "optimizations": list(examined.arithmetic.optimizations),
            "text_features": evaluator.features.manifest.facts.dtype if evaluator.features else None,
        },
    }
