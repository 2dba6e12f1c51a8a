"""The colours of every picture, chosen to stay apart for colour-blind eyes."""

from __future__ import annotations

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

ORANGE: Colour = (230, 159, 0)
SKY: Colour = (86, 180, 233)
GREEN: Colour = (0, 158, 115)
YELLOW: Colour = (240, 228, 66)
BLUE: Colour = (0, 114, 178)
VERMILION: Colour = (213, 94, 0)
PURPLE: Colour = (204, 121, 167)

OBJECTS = (ORANGE, SKY, GREEN, PURPLE, YELLOW, BLUE, VERMILION)
"""Okabe and Ito's colours in the order in which objects of one image take them (Color Universal Design, 2008)."""

WHITE: Colour = (255, 255, 255)
INK: Colour = (32, 36, 44)
FAINT_INK: Colour = (108, 115, 128)
RULE: Colour = (224, 227, 233)
PAPER: Colour = (245, 246, 248)
