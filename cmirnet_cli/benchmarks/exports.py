"""Exports that take part in `cmirnet benchmark infer`: a user's own, and those that are made for the occasion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cmirnet_cli.benchmarks.infer import InferenceRequest, ways_of
from cmirnet_cli.benchmarks.peers import Export
from cmirnet_cli.errors import UsageError
from cmirnet_cli.export.folder import ExportSource, require_libraries, write_export
from cmirnet_cli.export.preprocessing import ExportSample, Samples
from cmirnet_cli.export.spec import ExportOptions, ExportPrecision, read_spec
from cmirnet_cli.scenes import drawn_pairs
from cmirnet_cli.weights.source import fingerprint

CALIBRATING = 8
"""Drawn scenes from which int8 takes the ranges of activations: random weights have no ranges worth more."""


def named_exports(request: InferenceRequest, folders: Sequence[Path]) -> list[Export]:
    """The user's exports, for ONNX Runtime; their names are the paths as given.

    Raises:
        UsageError: the table could not tell one from another way or from each other, or it was made from other weights.
        ExportError: one is damaged.
    """
    ways, places = {way.name for way in ways_of(request)} if folders else set(), set()
    for folder in folders:
        if str(folder) in ways:
            hint = f"give its whole path: {folder.absolute()}"
            raise UsageError(f"--exported {folder} has the same name as another way in this comparison", hint=hint)
        if folder.resolve() in places:
            raise UsageError(f"--exported {folder} was given already", hint="name each export once")
        places.add(folder.resolve())
    for folder in folders:
        if request.weights is None or read_spec(folder).origin.sha256 != fingerprint(request.weights):
            weights = request.weights or "random weights"
            raise UsageError(f"{folder} was not exported from {weights}", hint="give its own weights as WEIGHTS")
    return [Export(str(folder), folder) for folder in folders]


def export_for_the_run(request: InferenceRequest, precision: ExportPrecision, folder: Path) -> Path:
    """Export the weights as one ONNX graph, calibrated for int8 on drawn scenes; its folder, below `folder`.

    The graph is not held to any agreement: masks of random weights lie on the border between both classes, and the benchmark says how many
    pixels are the same.

    Raises:
        ExportError: it cannot be written, or needs packages that are not installed.
    """
    options, target = ExportOptions("onnx", precision), folder / precision
    require_libraries(options.format)
    target.mkdir()
    scenes = drawn_pairs(CALIBRATING, request.load().config.image_size)
    expressions = request.expressions
    samples = tuple(ExportSample(pixels, expressions[number % len(expressions)]) for number, (pixels, _) in enumerate(scenes))
    source = ExportSource(request.weights or "random weights", "", request.load)
    write_export(source, target, options, Samples("drawn scenes", (), samples))
    return target
