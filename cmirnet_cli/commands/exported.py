"""WEIGHTS that are an exported bundle: those are run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import typer


def exported_bundle(weights: str) -> Path | None:
    """The exported bundle that a command is given in place of weights; None for weights, which a bundle of safetensors is too.

    Raises:
        ExportError: it is a damaged bundle.
    """
    from cmirnet_cli.export.spec import holds_export, read_spec

    folder = Path(weights).expanduser()
    return folder if holds_export(folder) and read_spec(folder).format != "safetensors" else None


def require_as_exported(weights: str, *, usual: bool) -> None:
    """Refuse to compute a bundle otherwise than it was exported.

    Args:
        weights: as named on the command line.
        usual: whether neither a precision nor rewrites were asked for.

    Raises:
        BadParameter: they were.
    """
    if not usual:
        raise typer.BadParameter(
            f"--precision and --rewrites are for weights, and {weights} is an exported bundle, whose arithmetic is fixed: "
            "leave them out, or export the weights again with --precision fp16 or int8"
        )
