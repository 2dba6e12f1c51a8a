"""The README.md of an export: what it is, and how to run it without this program."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from cmirnet_cli.export.runtime import EXACT_INT8
from cmirnet_cli.export.spec import MODEL, TEXT, VISION, ExportSpec
from cmirnet_cli.export.verification import Parity


def readme(spec: ExportSpec, parity: Parity) -> str:
    """Its text."""
    source = files("cmirnet_cli.export").joinpath("README.md.jinja").read_text(encoding="utf-8")
    sides = "H, W" if spec.dynamic_size else f"{spec.input.image_size}, {spec.input.image_size}"
    names = {"MODEL": MODEL, "TEXT": TEXT, "VISION": VISION, "EXACT_INT8": EXACT_INT8}
    templates = Environment(trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined)  # Markdown: nothing is escaped
    return templates.from_string(source).render(vars(spec), parity=parity, sides=sides, **names)
