"""Settings: frozen strict classes, the published recipe, presets, and how the layers of a command merge."""

from cmirnet_cli.config.layers import named_recipe, resolve
from cmirnet_cli.config.presets import Preset, copy_preset, load_preset, preset_names
from cmirnet_cli.config.published import OwnBackbone
from cmirnet_cli.config.settings import (
    SCRATCH,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    Settings,
    TextConfig,
    to_yaml,
)

__all__ = [
    "SCRATCH",
    "DataConfig",
    "ModelConfig",
    "OptimizerConfig",
    "OwnBackbone",
    "Preset",
    "ScheduleConfig",
    "Settings",
    "TextConfig",
    "copy_preset",
    "load_preset",
    "named_recipe",
    "preset_names",
    "resolve",
    "to_yaml",
]
