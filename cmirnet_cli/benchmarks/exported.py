"""Exports as ways that `cmirnet benchmark infer` compares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cmirnet_cli.benchmarks.infer import Way
from cmirnet_cli.errors import UsageError
from cmirnet_cli.export.bundle import ExportSource, write_export
from cmirnet_cli.export.formats import require_libraries
from cmirnet_cli.export.runtime import ExportedModel
from cmirnet_cli.export.samples import ExportSample, Samples
from cmirnet_cli.export.scoring import ExportedReferring
from cmirnet_cli.export.spec import ExportOptions, Precision, read_spec
from cmirnet_cli.scenes import drawn_questions
from cmirnet_cli.weights.bundle import Bundle
from cmirnet_cli.weights.source import fingerprint

CALIBRATING = 8
"""Drawn scenes from which int8 takes the ranges of activations: random weights have no ranges worth more."""


def exported_way(name: str, folder: Path) -> Way:
    """An export under a name for the table, through ONNX Runtime on the CPU; the weights are not used."""
    return Way(name, lambda bundle, device: ExportedReferring(ExportedModel.open(folder, "cpu")))


def require_made_from(folder: Path, weights: str | None) -> None:
    """Refuse an export of other weights.

    Raises:
        UsageError: it was made from others.
        ExportError: it is damaged.
    """
    if weights is None or read_spec(folder).origin.sha256 != fingerprint(weights):
        raise UsageError(f"{folder} was not exported from {weights or 'random weights'}", hint="give its own weights as WEIGHTS")


def export_random(load: Callable[[], Bundle], expressions: Sequence[str], precision: Precision, folder: Path) -> None:
    """Export random weights as one ONNX graph; int8 is calibrated on drawn scenes, with the expressions asked about them.

    The graph is not held to any agreement: masks of random weights lie on the border between both classes, and the benchmark says how many
    pixels are the same.

    Raises:
        ExportError: it cannot be written, or needs packages that are not installed.
    """
    scenes = drawn_questions(CALIBRATING, load().config.image_size)
    asked = tuple(ExportSample(pixels, expressions[number % len(expressions)]) for number, (pixels, _) in enumerate(scenes))
    wanted = ExportOptions("onnx", precision)
    require_libraries(wanted.format)
    folder.mkdir()
    write_export(ExportSource("random weights", "", load), folder, wanted, Samples("drawn scenes", (), asked))
