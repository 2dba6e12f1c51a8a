"""The README.md of a published weights folder: what it is, how it scored, how to use it, under which terms."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from pydantic import BaseModel, Field, ValidationError, model_validator

from cmirnet_cli.errors import WeightsError, first_line
from cmirnet_cli.weights.folder import BundleConfig

TASK = "image-segmentation"


class _Metric(BaseModel):
    heading: str
    level: str


class _Data(BaseModel):
    dataset: str
    split_by: str


class ScoresFile(BaseModel):
    """The part of a `scores.json` that a card shows: metrics by name; the protocols in words; split → protocol → scores in percent."""

    schema_version: Literal[1]
    data: _Data
    metrics: dict[str, _Metric] = Field(default_factory=dict)
    protocols: dict[str, str]
    splits: dict[str, dict[str, dict[str, Any]]]

    @model_validator(mode="after")
    def _require_scores(self) -> ScoresFile:
        for split, by_protocol in self.splits.items():
            for protocol, scored in by_protocol.items():
                if not self.metrics:  # a file of 0.1: all its scores, by their names
                    names = [name for name, value in scored.items() if isinstance(value, float)]
                    self.metrics = {name: _Metric(heading=name, level="main") for name in names}
                if lacking := [name for name in (*self.metrics, "sentences") if not isinstance(scored.get(name), int | float)]:
                    raise ValueError(f"{', '.join(lacking)} of {split}, {protocol} must be numbers")
        return self

    def shown(self, *levels: str) -> dict[str, str]:
        """Name → heading of the metrics of these levels."""
        return {name: metric.heading for name, metric in self.metrics.items() if metric.level in levels}


def read_scores(path: Path) -> ScoresFile:
    """The scores that `cmirnet eval --out` wrote.

    Raises:
        WeightsError: the file is missing, of another program, or is something else.
    """
    try:
        return ScoresFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise WeightsError(
            f"{path} is not a scores.json: {first_line(error)}", hint="give the file that `cmirnet eval … --out DIR` wrote"
        ) from error


def model_card(name: str, config: BundleConfig, parameters: int, scores: ScoresFile | None = None, license: str | None = None) -> str:
    """The card as Markdown with the hub's header.

    Args:
        name: hub id or folder, as `from_pretrained` takes it.
        config: of the weights folder.
        parameters: how many numbers the model has.
        scores: what `cmirnet eval` measured.
        license: the hub's identifier of a licence, such as `mit`.
    """
    data = ModelCardData(
        license=license,
        library_name="cmirnet",
        pipeline_tag=TASK,
        tags=["referring-image-segmentation", "cmirnet", config.model.name],
        model_name=name.rpartition("/")[2],
        eval_results=list(_results(scores)) if scores else None,
    )
    template = (files("cmirnet_cli.weights") / "card.md.jinja").read_text(encoding="utf-8")
    facts: dict[str, Any] = {"name": name, "config": config, "parameters": parameters, "scores": scores, "license": license}
    return f"{ModelCard.from_template(data, template_str=template, **facts)}\n"


def _results(scores: ScoresFile) -> Iterator[EvalResult]:
    dataset = f"{scores.data.dataset} ({scores.data.split_by})"
    for split, by_protocol in scores.splits.items():
        for protocol, scored in by_protocol.items():
            for metric, heading in scores.shown("main").items():
                yield EvalResult(
                    task_type=TASK,
                    task_name="referring image segmentation",
                    dataset_type=scores.data.dataset,
                    dataset_name=dataset,
                    dataset_split=split,
                    metric_type=metric,
                    metric_name=f"{heading}, protocol {protocol}",
                    metric_value=round(scored[metric], 2),
                )
