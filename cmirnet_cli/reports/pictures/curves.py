"""The curves of a training over its epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from cmirnet_cli.reports.pictures.chart import Curve, draw_chart, lay_out
from cmirnet_cli.reports.pictures.palette import BLUE, ORANGE, PURPLE, VERMILION


@dataclass(frozen=True)
class CurvePoint:
    """What one epoch left behind.

    Attributes:
        epoch: its number.
        loss: mean training loss.
        overall_iou: on the validation split, in percent (0 to 100); `None` where the epoch was not validated.
        mean_iou: likewise.
        lr: base learning rate.
    """

    epoch: int
    loss: float
    overall_iou: float | None
    mean_iou: float | None
    lr: float


def training_curves(history: Sequence[CurvePoint]) -> Image.Image:
    """Three charts side by side: training loss, validation scores, learning rate.

    A line passes over epochs without a value and breaks where a value is not finite, so that a diverged run shows.

    Raises:
        ValueError: the history is empty.
    """
    if not history:
        raise ValueError("no epochs to draw curves of")
    epochs = [point.epoch for point in history]
    charts = [draw_chart(title, epochs, lines) for title, lines in _lines(history).items()]
    return lay_out([charts])


def _lines(history: Sequence[CurvePoint]) -> dict[str, list[Curve]]:
    """The lines of each chart, by its title."""
    return {
        "Training loss": [Curve("loss", VERMILION, [point.loss for point in history])],
        "Validation IoU, %": [
            Curve("overall", BLUE, [point.overall_iou for point in history]),
            Curve("mean", ORANGE, [point.mean_iou for point in history]),
        ],
        "Learning rate": [Curve("learning rate", PURPLE, [point.lr for point in history])],
    }
