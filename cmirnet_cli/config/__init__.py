"""Settings: frozen strict classes, the published recipe, presets, and how the layers of a command merge."""

from cmirnet_cli.config.layers import resolve
from cmirnet_cli.config.presets import Preset, copy_preset, load_preset, preset_names
from cmirnet_cli.config.published import Backbone, Family
from cmirnet_cli.config.settings import (
    SCRATCH,
    DataConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    Settings,
    TextConfig,
    TrainConfig,
    to_yaml,
)

__all__ = [
    "SCRATCH",
    "Backbone",
    "DataConfig",
    "Family",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "Preset",
    "ScheduleConfig",
    "Settings",
    "TextConfig",
    "TrainConfig",
    "copy_preset",
    "load_preset",
    "preset_names",
    "resolve",
    "to_yaml",
]
