"""The colours of every picture; the strong ones are Okabe and Ito's, which colour-blind eyes tell apart (Color Universal Design, 2008)."""

from __future__ import annotations

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


def css(colour: Colour) -> str:
    """As style sheets write it: `#e69f00`."""
    return "#" + bytes(colour).hex()


ORANGE: Colour = (230, 159, 0)
GREEN: Colour = (0, 158, 115)
BLUE: Colour = (0, 114, 178)
VERMILION: Colour = (213, 94, 0)
PURPLE: Colour = (204, 121, 167)

SKY: Colour = (86, 180, 233)
YELLOW: Colour = (240, 228, 66)

WHITE: Colour = (255, 255, 255)
INK: Colour = (32, 36, 44)
FAINT_INK: Colour = (108, 115, 128)
RULE: Colour = (224, 227, 233)
PAPER: Colour = (245, 246, 248)
