"""`cmirnet.evaluate`: weights, or anything that works like them, scored on splits of a prepared cache."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.engine.evaluation.loop import Advance, Evaluator, evaluate_split
from cmirnet_cli.engine.inference import Inference, made
from cmirnet_cli.engine.processes import ALONE, Process
from cmirnet_cli.engine.text_features import TextReader, matching_features
from cmirnet_cli.errors import UsageError
from cmirnet_cli.metrics.scores import PROTOCOLS
from cmirnet_cli.metrics.sentences import CONTROLS, SplitScores
from cmirnet_cli.metrics.split_report import ScoringOptions, SplitReport, report
from cmirnet_cli.model.fast.names import COMPILE
from cmirnet_cli.weights.source import fingerprint, load_weights


@dataclass(frozen=True)
class EvaluationRequest:
    """What to score, and how masks are compared.

    Attributes:
        splits: of the cache.
        protocols: `paper` compares at the network's size, `original` at the image's own.
        controls: `shuffled-text` and `no-image`: what scores remain without the words, or without the pixels.
        keep_masks: whether each sentence's score holds its mask: at the image's own size, or at network size if `paper` alone is scored.
        text_features: whether features that the cache stores stand in for the text encoder.
        batch_size: sentences that go through at once.
        workers: processes that load data; 0: only the main one.
        scoring: how intervals are drawn, and which mask counts as empty.

    Raises:
        UsageError: there is no such protocol or control.
    """

    splits: tuple[str, ...] = ("val",)
    protocols: tuple[str, ...] = ("paper", "original")
    controls: tuple[str, ...] = ()
    keep_masks: bool = False
    text_features: bool = True
    batch_size: int = 8
    workers: int = 0
    scoring: ScoringOptions = field(default_factory=ScoringOptions)

    def __post_init__(self) -> None:
        for kind, names, known in (("protocol", self.protocols, PROTOCOLS), ("control", self.controls, CONTROLS)):
            if unknown := [name for name in names if name not in known]:
                raise UsageError(f"there is no {kind} {unknown[0]!r}", hint=f"choose among {', '.join(known)}")


_USUAL_REQUEST, _USUAL_INFERENCE = EvaluationRequest(), Inference()


@dataclass(frozen=True)
class EvaluatedModel:
    """A model that is scored, and what is recorded of it.

    Attributes:
        evaluator: the model with its tokenizer, ready to be scored.
        image_size: side of the network's input, in pixels.
        source: what the user calls it.
        sha256: of its weights.
        dataset: what it was trained on, as `<dataset>-<split_by>`; empty where that is not known.
        device: where it is computed.
        precision: the number format that it is computed in.
        optimizations: faster forms of its parts that are in use.
        text: its text encoder, for which stored features can stand in; None where it cannot be separated from the rest.
    """

    evaluator: Evaluator
    image_size: int
    source: str = ""
    sha256: str = ""
    dataset: str = ""
    device: str = "cpu"
    precision: str = "fp32"
    optimizations: tuple[str, ...] = ()
    text: TextReader | None = None

    @classmethod
    def load(
        cls,
        source: str | Path,
        device: str = "auto",
        inference: Inference = _USUAL_INFERENCE,
        *,
        batch_size: int,
        workers: int,
        process: Process = ALONE,
    ) -> EvaluatedModel:
        """Load weights onto a device.

        Raises:
            WeightsError: nothing usable is there.
            UsageError: there is no such device.
        """
        place = process.device(device)
        bundle = inference.prepare(load_weights(source), place)
        config, model, tokenizer = bundle.config, bundle.model, bundle.tokenizer
        optimizations = made(bundle)
        return cls(
            Evaluator(model, tokenizer, config.tokens, place, batch_size, workers, compiled=COMPILE in optimizations),
            config.image_size,
            str(source),
            fingerprint(source),
            config.dataset,
            str(place),
            inference.precision,
            optimizations,
            TextReader(model.text, tokenizer, config.tokens),
        )

    def with_stored_text(self, cache: Cache, notice: Callable[[str], None] = lambda line: None) -> EvaluatedModel:
        """The same with the cache's features in place of the text encoder, where the cache has them.

        Raises:
            CacheError: the cache has features, but of other text encoders only.
        """
        if self.text is None:
            return self
        command = shlex.join(["cmirnet", "cache-features", str(cache.folder), "--weights", self.source])
        features = matching_features(cache, self.text, f"make them with: {command}; or score without any: --no-text-features", notice)
        return replace(self, evaluator=replace(self.evaluator, features=features))


@dataclass(frozen=True)
class EvaluationResult:
    """Scores, and what they are scores of.

    Attributes:
        request: what was scored, and how.
        model: that was scored.
        cache: that it was scored on.
        scores: every sentence of each split.
    """

    request: EvaluationRequest
    model: EvaluatedModel
    cache: Cache
    scores: tuple[SplitScores, ...]

    @cached_property
    def reports(self) -> tuple[SplitReport, ...]:
        """Of each split: overall IoU, mean IoU, precision@x, with intervals, by protocol and group."""
        return tuple(report(each, self.request.scoring) for each in self.scores)


def evaluate(
    model: str | Path | EvaluatedModel,
    cache: str | Path | Cache,
    request: EvaluationRequest = _USUAL_REQUEST,
    *,
    device: str = "auto",
    inference: Inference = _USUAL_INFERENCE,
    progress: Callable[[str, int], AbstractContextManager[Advance]] = lambda what, total: nullcontext(lambda done: None),
    notice: Callable[[str], None] = lambda line: None,
    process: Process = ALONE,
) -> EvaluationResult:
    """Score every sentence of the splits once, as `cmirnet eval` does.

    Args:
        model: weights as `Segmenter.from_pretrained` takes them; or a model of one's own, which is scored as it is, on its own device.
        cache: a prepared cache, or its folder.
        request: what to score, and how masks are compared.
        device: auto, cpu, cuda, cuda:N or mps.
        inference: number format and optimizations.
        progress: opened for each split with a name and the number of sentences; what it gives is called as they are done.
        notice: called with each line for the user, such as features that stand in for the text encoder.
        process: this process's part of the images; all processes have all scores.

    Raises:
        WeightsError: there are no usable weights.
        CacheError: the cache is damaged, has no such split, or has text features of other encoders only.
    """
    opened = cache if isinstance(cache, Cache) else Cache.open(Path(cache))
    if not isinstance(model, EvaluatedModel):
        sizes = {"batch_size": request.batch_size, "workers": request.workers}
        model = EvaluatedModel.load(model, device, inference, **sizes, process=process)
        model = model.with_stored_text(opened, notice) if request.text_features else model
    evaluator = replace(model.evaluator, keep_masks=request.keep_masks)
    scores = [
        evaluate_split(
            evaluator,
            opened,
            split,
            model.image_size,
            request.protocols,
            controls=request.controls,
            progress=partial(progress, f"score {model.source} on {split}"),
            process=process,
        )
        for split in request.splits
    ]
    return EvaluationResult(request, model, opened, tuple(scores))
