"""CMIRNet for Python: referring image segmentation, from an image and an expression to the mask of that object.

The public names are imported on first use, so that the command line starts without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmirnet_cli.config import ModelConfig
    from cmirnet_cli.engine.inference import Inference
    from cmirnet_cli.engine.prediction.masks import MaskRule, Prediction
    from cmirnet_cli.engine.prediction.segmenter import Segmenter
    from cmirnet_cli.model.build import build_network
    from cmirnet_cli.weights.official import convert_official

__version__ = "0.1.0"

__all__ = ["Inference", "MaskRule", "ModelConfig", "Prediction", "Segmenter", "__version__", "build_network", "convert_official"]

_HOMES = {
    "Inference": "cmirnet_cli.engine.inference",
    "MaskRule": "cmirnet_cli.engine.prediction.masks",
    "ModelConfig": "cmirnet_cli.config",
    "Prediction": "cmirnet_cli.engine.prediction.masks",
    "Segmenter": "cmirnet_cli.engine.prediction.segmenter",
    "build_network": "cmirnet_cli.model.build",
    "convert_official": "cmirnet_cli.weights.official",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
