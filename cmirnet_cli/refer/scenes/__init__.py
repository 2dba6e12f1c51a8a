"""Drawn scenes with expressions about them, written on disk in REFER layout: data to try everything with, without a download."""

from cmirnet_cli.refer.scenes.files import write_scenes

__all__ = ["write_scenes"]
