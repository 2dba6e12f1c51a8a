"""Boxes and arrows as SVG; lengths are pixels, a box is named by its centre."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

LINE = 18
_STYLE = "text{font:13px sans-serif;text-anchor:middle}.small{font-size:11px;fill:#555}rect{fill:#eef3fa;stroke:#456}line{stroke:#789}"
_TIP = """<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#789"/></marker>"""


@dataclass(frozen=True)
class Box:
    """A rectangle with a name and, below it, smaller words."""

    x: float
    y: float
    width: float
    name: str
    words: str = ""

    @property
    def height(self) -> float:
        """Enough for its lines."""
        return LINE * (2 if self.words else 1) + 10

    def drawn(self) -> str:
        """As SVG."""
        left, top = self.x - self.width / 2, self.y - self.height / 2
        frame = f'<rect x="{left:g}" y="{top:g}" width="{self.width:g}" height="{self.height:g}" rx="4"/>'
        below = text(self.x, top + 2 * LINE, self.words, ' class="small"') if self.words else ""
        return frame + text(self.x, top + LINE, self.name) + below


def text(x: float, y: float, words: str, attributes: str = "") -> str:
    """Words centred at a point."""
    return f'<text x="{x:g}" y="{y:g}"{attributes}>{escape(words)}</text>'


def arrow(upper: Box, lower: Box) -> str:
    """From the bottom of one box to the top of another."""
    ends = f'x1="{upper.x:g}" y1="{upper.y + upper.height / 2:g}" x2="{lower.x:g}" y2="{lower.y - lower.height / 2:g}"'
    return f'<line {ends} marker-end="url(#tip)"/>'


def document(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """A whole picture on white; parts that come later cover those before."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">'
    paper = f'<rect width="{width:g}" height="{height:g}" style="fill:#fff;stroke:none"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", f"<defs>{_TIP}</defs>", paper, *parts, "</svg>\n"])
