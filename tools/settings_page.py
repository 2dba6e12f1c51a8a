"""The list of settings: what the settings classes say of each, with its default and the values it may have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cmirnet_cli.config import ModelConfig, Settings

_HEAD = """# Settings

This page is drawn from the code by `make reference`: every setting of `cmirnet train` and of the presets. Later sources win over earlier
ones:

1. the defaults below, which are the published recipe of the backbone's family in fp32;
2. `--preset NAME|FILE`: a preset, your own YAML file, or a run's `config.yaml`;
3. the environment: `CMIRNET_`, the section, two underscores and the name, in capitals;
4. the command's own options, such as `--lr`;
5. `--set section.name=value`, which may be repeated.

These three lines say the same:

```sh
CMIRNET_OPTIMIZER__LR=1e-4 cmirnet train --preset refcoco-swin-b
cmirnet train --preset refcoco-swin-b --lr 1e-4
cmirnet train --preset refcoco-swin-b --set optimizer.lr=1e-4
```

In a YAML file a section is a group of lines:

```yaml
optimizer:
  lr: 1e-4
```

Values are read as YAML 1.2: `null` means none, a list is written `[0.9, 1.1]`. An unknown name or an impossible value stops the command
before anything is done, and all mistakes are listed at once, each with its source. `cmirnet train --print-config` shows the result. Two
defaults in one place are those of the two families of backbones. The nano backbones are small ones of our own: there are no ImageNet
weights for them, so their `loop.backbone_weights` is `none`.
"""
_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}", "multipleOf": "multiple of {}"}
_KINDS = {"boolean": "`true`, `false`", "string": "text", "integer": "whole number", "number": "number", "array": "list", "null": "`null`"}


def settings_page() -> str:
    """docs/settings.md."""
    sections = Settings.model_json_schema()["$defs"]
    return _HEAD + "".join(_section(name, sections[type(section).__name__]) for name, section in Settings())


def _section(name: str, schema: Mapping[str, Any]) -> str:
    rows = "".join(_row(f"{name}.{key}", field) for key, field in schema["properties"].items())
    return f"\n## {name}\n\n{schema['description']}\n\n| setting | default | values | what it is |\n|---|---|---|---|\n{rows}"


def _row(name: str, field: Mapping[str, Any]) -> str:
    return f"| `{name}` | {_default(name)} | {_values(field)} | {field['description']} |\n"


def _default(name: str) -> str:
    """What the setting is where nothing is given; of both families where they differ."""
    swin, resnet = (_shown(_value(Settings(model=ModelConfig(backbone=backbone)), name)) for backbone in ("swin-b", "resnet50"))
    return swin if swin == resnet or name == "model.backbone" else f"{swin} (Swin), {resnet} (ResNet)"


def _value(settings: Settings, name: str) -> Any:
    section, _, key = name.partition(".")
    return settings.model_dump(mode="json")[section][key]


def _shown(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _values(field: Mapping[str, Any]) -> str:
    """Which values it may have."""
    return " or ".join(map(_kind, field.get("anyOf", [field])))


def _kind(field: Mapping[str, Any]) -> str:
    choices = ", ".join(f"`{value}`" for value in field.get("enum", ()))
    return choices or ", ".join([_KINDS[field["type"]], *_limits(field)])


def _limits(field: Mapping[str, Any]) -> Iterator[str]:
    for bound, words in _BOUNDS.items():
        if bound in field:
            yield words.format(field[bound])
