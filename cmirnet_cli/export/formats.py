"""The model itself in each of the exchange formats."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch

from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.calibration import calibrate
from cmirnet_cli.export.graph import write_graph
from cmirnet_cli.export.parts import parts_of
from cmirnet_cli.export.program import PROGRAM_FILE, trace
from cmirnet_cli.export.quantization import to_fp16
from cmirnet_cli.export.runtime import MISSING
from cmirnet_cli.export.samples import ExportSample
from cmirnet_cli.export.spec import ExportOptions, Format, Input
from cmirnet_cli.weights.bundle import Bundle, write_bundle
from cmirnet_cli.weights.folder import MODEL_FILE


def require_libraries(format: Format) -> None:
    """Refuse to begin where the extra packages are missing that a format needs.

    Raises:
        ExportError: one of them is not installed.
    """
    if format != "onnx":
        return
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(f"export to ONNX needs packages that are not installed: {error}", hint=MISSING) from error


def write_model(bundle: Bundle, folder: Path, wanted: ExportOptions, prepared: Input, calibrating: Sequence[ExportSample]) -> list[str]:
    """Write the model into a folder; the names of the files.

    Raises:
        ExportError: it does not fit into such a file.
    """
    if wanted.format == "safetensors":
        write_bundle(bundle, folder)
        return [MODEL_FILE]
    if wanted.format == "torch":
        written = BytesIO()  # where the disk is full, torch's own writer ends the whole process
        torch.export.save(trace(parts_of(bundle, split=False)[0], dynamic_size=wanted.dynamic_size), written)
        (folder / PROGRAM_FILE).write_bytes(written.getbuffer())
        return [PROGRAM_FILE]
    return _write_graphs(bundle, folder, wanted, prepared, calibrating)


def _write_graphs(bundle: Bundle, folder: Path, wanted: ExportOptions, prepared: Input, calibrating: Sequence[ExportSample]) -> list[str]:
    parts = parts_of(bundle, split=wanted.split)
    for part in parts:
        write_graph(trace(part, dynamic_size=wanted.dynamic_size), part, folder / part.file)
    if wanted.precision == "fp16":
        for part in parts:
            to_fp16(folder / part.file)
    if wanted.precision == "int8":
        calibrate(folder, parts, prepared, calibrating)
    return [part.file for part in parts]
