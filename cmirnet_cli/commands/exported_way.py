"""An exported bundle as one of the ways that `cmirnet benchmark infer` compares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import typer

from cmirnet_cli.engine.asking import Way
from cmirnet_cli.engine.inference import AS_PUBLISHED
from cmirnet_cli.engine.judged import Judged
from cmirnet_cli.export.exported import ExportedModel
from cmirnet_cli.export.judged import ExportedReferring
from cmirnet_cli.export.spec import read_spec
from cmirnet_cli.weights.bundle import Bundle
from cmirnet_cli.weights.source import fingerprint


@dataclass(frozen=True)
class ExportedWay(Way):
    """Through ONNX Runtime, on the CPU."""

    folder: Path = Path()

    def ready(self, bundle: Bundle, device: torch.device) -> Judged:
        """The bundle's graphs; the weights are not used."""
        return ExportedReferring(ExportedModel.open(self.folder, "cpu"))


def exported_way(folder: Path, weights: str | None) -> Way:
    """A bundle of these very weights.

    Raises:
        BadParameter: it was made from others.
        ExportError: it is damaged.
    """
    spec = read_spec(folder)
    if weights is None or spec.origin.sha256 != fingerprint(weights):
        raise typer.BadParameter(f"{folder} was not exported from {weights or 'random weights'}: give its own weights as WEIGHTS")
    return ExportedWay(str(folder), AS_PUBLISHED, folder)
