"""The list of settings: what the settings classes say of each, with its default and the values it may have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cmirnet_cli.config import ModelConfig, Settings

_HEAD = """# Settings

This page lists every setting of `cmirnet train` and of the presets. `make reference` writes it from the code. A setting can come from five
sources; later ones win over earlier ones:

1. the defaults below, which are the published recipe of the backbone's family;
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

Values are YAML 1.2: `null` means none, and `[0.9, 1.1]` is a list. An unknown name or an impossible value stops the command before it does
anything. The error lists all mistakes at once, each with its source. `cmirnet train --print-config` shows the result. If a setting has two
defaults, each belongs to one family of backbones. The nano backbones are small ones of our own. They have no ImageNet weights, so their
`loop.backbone_weights` is `none`.
"""
_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}", "multipleOf": "multiple of {}"}
_KINDS = {
    "boolean": "`true`, `false`",
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "array": "list",
    "object": "names and values",
    "null": "`null`",
}


def settings_page() -> str:
    """docs/settings.md."""
    schemas = Settings.model_json_schema()["$defs"]
    page = _HEAD
    for section, settings in Settings():
        schema = schemas[type(settings).__name__]
        page += f"\n## {section}\n\n{schema['description']}\n\n| setting | default | values | what it is |\n|---|---|---|---|\n"
        for name, field in schema["properties"].items():
            values = " or ".join(map(_values, field.get("anyOf", [field])))
            page += f"| `{section}.{name}` | {_default(section, name)} | {values} | {field['description']} |\n"
    return page


def _default(section: str, name: str) -> str:
    """What the setting is where nothing is given; of both families where they differ."""
    swin, resnet = (
        Settings(model=ModelConfig(backbone=backbone)).model_dump(mode="json")[section][name] for backbone in ("swin-b", "resnet50")
    )
    shown = [f"`{value if isinstance(value, str) else json.dumps(value)}`" for value in (swin, resnet)]
    return shown[0] if swin == resnet or name == "backbone" else f"{shown[0]} (Swin), {shown[1]} (ResNet)"


def _values(field: Mapping[str, Any]) -> str:
    """The choices, or the kind of value with its bounds."""
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    return ", ".join([_KINDS[field["type"]], *(words.format(field[bound]) for bound, words in _BOUNDS.items() if bound in field)])
