"""CMIRNet for Python: referring image segmentation, from an image and an expression to the mask of that object.

The public names are imported on first use, so that the command line starts without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmirnet_cli.cache.prepare import PreparedCache, PrepareRequest, prepare
    from cmirnet_cli.cache.reader import Cache
    from cmirnet_cli.cache.schema import CacheOptions
    from cmirnet_cli.config import ModelConfig, Settings
    from cmirnet_cli.engine.evaluation.loop import Evaluator
    from cmirnet_cli.engine.evaluation.run import EvaluatedModel, EvaluationRequest, EvaluationResult, evaluate
    from cmirnet_cli.engine.inference import Inference
    from cmirnet_cli.engine.prediction.masks import MaskRule
    from cmirnet_cli.engine.prediction.prediction import Prediction, Predictions
    from cmirnet_cli.engine.prediction.segmenter import Segmenter
    from cmirnet_cli.engine.training.run import TrainingResult, train
    from cmirnet_cli.model.build import build_network
    from cmirnet_cli.weights.official import convert_official

__version__ = "0.1.0"

__all__ = [
    "Cache",
    "CacheOptions",
    "EvaluatedModel",
    "EvaluationRequest",
    "EvaluationResult",
    "Evaluator",
    "Inference",
    "MaskRule",
    "ModelConfig",
    "Prediction",
    "Predictions",
    "PrepareRequest",
    "PreparedCache",
    "Segmenter",
    "Settings",
    "TrainingResult",
    "__version__",
    "build_network",
    "convert_official",
    "evaluate",
    "prepare",
    "train",
]

_HOMES = {
    "Cache": "cache.reader",
    "CacheOptions": "cache.schema",
    "EvaluatedModel": "engine.evaluation.run",
    "EvaluationRequest": "engine.evaluation.run",
    "EvaluationResult": "engine.evaluation.run",
    "Evaluator": "engine.evaluation.loop",
    "Inference": "engine.inference",
    "MaskRule": "engine.prediction.masks",
    "ModelConfig": "config",
    "Prediction": "engine.prediction.prediction",
    "Predictions": "engine.prediction.prediction",
    "PrepareRequest": "cache.prepare",
    "PreparedCache": "cache.prepare",
    "Segmenter": "engine.prediction.segmenter",
    "Settings": "config",
    "TrainingResult": "engine.training.run",
    "build_network": "model.build",
    "convert_official": "weights.official",
    "evaluate": "engine.evaluation.run",
    "prepare": "cache.prepare",
    "train": "engine.training.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
