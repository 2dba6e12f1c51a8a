"""Drawn scenes with expressions about them, written on disk in REFER layout: data to try everything with, without a download."""

from cmirnet_cli.refer.scenes.amount import Amount
from cmirnet_cli.refer.scenes.files import write_scenes
from cmirnet_cli.refer.scenes.picture import PHOTOGRAPH_GRAIN
from cmirnet_cli.refer.scenes.questions import drawn_questions

__all__ = ["PHOTOGRAPH_GRAIN", "Amount", "drawn_questions", "write_scenes"]
