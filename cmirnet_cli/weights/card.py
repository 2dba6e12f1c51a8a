"""The README.md of a published weights folder: what it is, how it scored, how to use it, under which terms."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from huggingface_hub import EvalResult, ModelCardData
from pydantic import BaseModel, Field, ValidationError

from cmirnet_cli.errors import WeightsError, first_line
from cmirnet_cli.weights.folder import BundleConfig

TASK = "image-segmentation"

TEMPLATE = """---
{header}
---

# {name}

Referring image segmentation: an image and an expression ("the girl in pink on the skateboard") go in, the mask of that object comes
out. This is a CMIRNet (IEEE TCSVT 2024), in the format of the `cmirnet` toolkit.

## Use

```python
import cmirnet_cli as cmirnet

segmenter = cmirnet.Segmenter.from_pretrained("{name}")
prediction = segmenter.predict("photo.jpg", "the red cup")[0]
prediction.mask  # bool (H, W), at the photo's own size
```

    cmirnet predict {name} photo.jpg -e "the red cup"

## Architecture

| | |
|---|---|
{architecture}

## Scores

{scores}

## Licence

{licence}

## Files

`model.safetensors` holds the network and the text encoder, `config.json` what to build and how to prepare the input; the tokenizer lies
beside them. Nothing in this folder executes.
"""

NO_SCORES = "None are given. `cmirnet eval` measures them."
NO_LICENCE = "None is stated: ask whoever trained these weights. The data that they were trained on have terms of their own."


class _Scored(BaseModel):
    overall_iou: float
    mean_iou: float
    precision: float = Field(alias="precision@0.5")
    sentences: int


class _Data(BaseModel):
    dataset: str
    split_by: str


class ScoresFile(BaseModel):
    """What a card tells of a `scores.json`: the protocols in words; split → protocol → scores in percent."""

    schema_version: Literal[1]
    data: _Data
    protocols: dict[str, str]
    splits: dict[str, dict[str, _Scored]]


def read_scores(path: Path) -> ScoresFile:
    """The scores that `cmirnet eval --out` wrote.

    Raises:
        WeightsError: the file is missing, of another program, or is something else.
    """
    try:
        return ScoresFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise WeightsError(
            f"{path} is no scores.json: {first_line(error)}", hint="give the file that `cmirnet eval … --out DIR` wrote"
        ) from error


def model_card(name: str, config: BundleConfig, parameters: int, scores: ScoresFile | None = None, license: str | None = None) -> str:
    """The card as Markdown with the hub's header.

    Args:
        name: hub id or folder, as it is to be given to `from_pretrained`.
        config: of the weights folder.
        parameters: how many numbers the model has.
        scores: what `cmirnet eval` measured.
        license: the hub's identifier of a licence, such as `mit`.
    """
    return TEMPLATE.format(
        header=_header(name, config, scores, license),
        name=name,
        architecture="\n".join(f"| {what} | {value} |" for what, value in _architecture(config, parameters)),
        scores=_score_section(scores) if scores else NO_SCORES,
        licence=f"`{license}`. The data that the weights were trained on have terms of their own." if license else NO_LICENCE,
    )


def _header(name: str, config: BundleConfig, scores: ScoresFile | None, license: str | None) -> str:
    data = ModelCardData(
        license=license,
        library_name="cmirnet",
        pipeline_tag=TASK,
        tags=["referring-image-segmentation", "cmirnet", config.model.backbone],
        model_name=name.rpartition("/")[2],
        eval_results=list(_results(scores)) if scores else None,
    )
    return data.to_yaml()


def _results(scores: ScoresFile) -> Iterable[EvalResult]:
    dataset = f"{scores.data.dataset} ({scores.data.split_by})"
    for split, by_protocol in scores.splits.items():
        for protocol, scored in by_protocol.items():
            for metric, value in (("overall_iou", scored.overall_iou), ("mean_iou", scored.mean_iou)):
                yield EvalResult(
                    task_type=TASK,
                    task_name="referring image segmentation",
                    dataset_type=scores.data.dataset,
                    dataset_name=dataset,
                    dataset_split=split,
                    metric_type=metric,
                    metric_name=f"{metric.replace('_iou', ' IoU')}, protocol {protocol}",
                    metric_value=round(value, 2),
                )


def _architecture(config: BundleConfig, parameters: int) -> Iterable[tuple[str, object]]:
    encoder = config.encoder
    yield "visual backbone", config.model.backbone
    yield "fusion width", config.model.fusion_width
    yield "text encoder", f"{encoder.get('model_type')}, {encoder.get('num_hidden_layers')} layers, {config.model.text_width} channels"
    yield "input", f"{config.image_size} × {config.image_size} pixels, {config.tokens} tokens"
    yield "parameters", f"{parameters:,}"
    yield "trained on", config.dataset or "not recorded"


def _score_section(scores: ScoresFile) -> str:
    lines = [f"On {scores.data.dataset} ({scores.data.split_by}), in percent:", ""]
    lines += ["| split | protocol | overall IoU | mean IoU | precision@0.5 | sentences |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {split} | {protocol} | {each.overall_iou:.2f} | {each.mean_iou:.2f} | {each.precision:.2f} | {each.sentences:,} |"
        for split, by_protocol in scores.splits.items()
        for protocol, each in by_protocol.items()
    ]
    return "\n".join([*lines, "", *(f"- *{protocol}*: {words}." for protocol, words in scores.protocols.items())])
