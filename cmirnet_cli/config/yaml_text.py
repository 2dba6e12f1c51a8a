"""YAML as PyYAML reads it, but for numbers such as `1e-4`, which it takes for words."""

from __future__ import annotations

import re
from typing import Any

import yaml

_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


class _Loader(yaml.SafeLoader):
    """Plain data only, and `1e-4` is a number."""


class _Dumper(yaml.SafeDumper):
    """Plain data only; lists of numbers stay on one line."""


for _notation in (_Loader, _Dumper):
    _notation.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
_Dumper.add_representer(list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True))


def parse(text: str) -> Any:
    """Plain data written as YAML; raises ValueError with the place of the first mistake."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{problem.problem or problem.context}{place}") from problem
    except yaml.YAMLError as problem:
        raise ValueError(" ".join(str(problem).split())) from problem
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem


def dump(data: Any) -> str:
    """The text that `parse` reads back, keys in the given order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
