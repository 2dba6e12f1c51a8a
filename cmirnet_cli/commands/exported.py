"""WEIGHTS that are an export: those are run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cmirnet_cli.errors import UsageError

if TYPE_CHECKING:
    from cmirnet_cli.engine.shards import Shard


def exported_model(weights: str) -> Path | None:
    """The export that a command is given in place of weights; None for weights, which an export of safetensors is too.

    Raises:
        ExportError: it is a damaged export.
    """
    from cmirnet_cli.export.spec import holds_export, read_spec

    folder = Path(weights).expanduser()
    return folder if holds_export(folder) and read_spec(folder).format != "safetensors" else None


def export_device(device: str, shard: Shard) -> str:
    """Where ONNX Runtime computes what is asked of `--device`: cpu or cuda:N; each of several processes takes its own GPU.

    Raises:
        ExportError: onnxruntime is not installed.
        UsageError: it has no such device.
    """
    from cmirnet_cli.export.runtime import CPU, pick_provider

    provider, options = pick_provider(device)
    if provider == CPU:
        return "cpu"
    return str(shard.device("cuda")) if shard.count > 1 and device in ("auto", "cuda") else f"cuda:{options['device_id']}"


def require_as_exported(weights: str, *, usual: bool) -> None:
    """Refuse to compute an export otherwise than it was exported.

    Args:
        weights: as named on the command line.
        usual: whether neither a precision nor optimizations were asked for.

    Raises:
        UsageError: they were.
    """
    if not usual:
        raise UsageError(
            f"--precision and --optimizations are for weights, and {weights} is an export, whose arithmetic is fixed",
            hint="leave them out, or export the weights again with --precision fp16 or int8",
        )
