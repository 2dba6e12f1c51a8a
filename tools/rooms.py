"""The house's one rule: which room of the package may import which."""

from __future__ import annotations

from collections.abc import Mapping

_TABLE = {
    "errors": "",
    "metrics": "",
    "options": "",
    "files": "errors",
    "images": "errors",
    "console": "errors",
    "config": "errors files",
    "refer": "errors files images",
    "scenes": "errors files images refer",
    "cache": "errors files images refer",
    "batches": "errors config cache",
    "model": "errors config",
    "weights": "errors files config model",
    "engine": "errors files images config cache batches model weights metrics",
    "export": "errors files images config model weights batches",
    "reports": "errors files images metrics",
    "benchmarks": "errors files images config refer scenes cache batches model weights engine export metrics reports",
    "web": "errors files images config model weights engine metrics reports",
    "doctor": "errors files images config refer cache model weights engine",
    "commands": "errors files images console options config refer scenes cache batches model weights engine export metrics reports "
    "benchmarks web doctor",
    "app": "errors console commands",
    "__init__": "config model weights engine",
    "__main__": "app",
}
ALLOWED: Mapping[str, set[str]] = {room: set(others.split()) for room, others in _TABLE.items()}
"""Room → rooms it may import. `__init__` names the public classes; `__version__` is free to everyone."""
