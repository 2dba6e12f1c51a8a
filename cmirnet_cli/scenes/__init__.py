"""Drawn scenes with expressions about them, written on disk in REFER layout: data to try everything with, without a download."""

from cmirnet_cli.scenes.dataset import Amount, drawn_pairs, drawn_scene, write_scenes
from cmirnet_cli.scenes.scene import PHOTOGRAPH_GRAIN

__all__ = ["PHOTOGRAPH_GRAIN", "Amount", "drawn_pairs", "drawn_scene", "write_scenes"]
