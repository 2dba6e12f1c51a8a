"""The house's one rule: which room of the package may import which."""

from __future__ import annotations

from collections.abc import Mapping

ALLOWED: Mapping[str, set[str]] = {
    "errors": set(),
    "metrics": set(),
    "options": set(),
    "durable": {"errors"},
    "findings": {"errors"},
    "console": {"errors"},
    "config": {"errors", "durable"},
    "refer": {"errors", "durable", "findings"},
    "scenes": {"errors", "durable", "refer"},
    "cache": {"errors", "durable", "findings", "refer"},
    "batches": {"errors", "config", "cache"},
    "model": {"errors", "config"},
    "weights": {"errors", "durable", "findings", "config", "model"},
    "engine": {"errors", "durable", "findings", "config", "cache", "batches", "model", "weights", "metrics"},
    "export": {"errors", "durable", "config", "model", "weights", "batches"},
    "reports": {"errors", "durable", "metrics"},
    "benchmarks": {
        *("errors", "durable", "config", "refer", "scenes", "cache", "batches", "model", "weights", "metrics"),
        *("engine", "export", "reports"),
    },
    "web": {"errors", "config", "engine", "reports"},
    "commands": {
        *(
            "errors",
            "durable",
            "findings",
            "console",
            "options",
            "config",
            "refer",
            "scenes",
            "cache",
            "batches",
            "model",
            "weights",
            "metrics",
        ),
        *("engine", "export", "reports", "benchmarks", "web"),
    },
    "app": {"errors", "console", "commands"},
    "__init__": {"config", "model", "weights", "engine"},
    "__main__": {"app"},
}
"""Room → rooms it may import. `__init__` names the public classes; `__version__` is free to everyone."""
