"""What is odd about the masks of a data set, counted by kind with examples, before a cache is written.

A mask is looked at once it is drawn, together with the outline it comes from and with what its reader noticed about its picture. Masks of
sentences that refer to nothing, as their annotations say, are not counted. Where all masks of a split are odd in the same way, they
were all made in a wrong way, and no cache is written; a few are in every data set, the published ones included, and worth a warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.cache.schema import MaskFinding
from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.images.masks import rasterise
from cmirnet_cli.refer.referent import Referent

EXAMPLES = 3
"""How many masks of a kind are named."""

_LARGEST_SHARE = 1.1
"""The largest coordinate of an outline that is given in parts of its picture's size; tools that do not clip go a little above 1."""
_OUTSIDE = 0.25
"""The part of an outline's box that may lie outside its picture."""
_LONGEST_SENTENCE = 60


@dataclass(frozen=True)
class Kind:
    """A way in which a mask may be odd; docs/your-data.md lists them in the same words.

    Attributes:
        name: what tables call it.
        says: what the masks do, after "3 of 10 masks".
        remedy: what to do about it.
        refused: whether a split in which all masks are of this kind is an error.
    """

    name: str
    says: str
    remedy: str
    refused: bool = True


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "normalised": Kind(
            "coordinates from 0 to 1",
            "are empty or a corner of the picture: no coordinate is above 1",
            "give polygons in pixels: multiply x by the width of the picture and y by its height",
        ),
        "outside": Kind(
            "outside the picture",
            "lie outside their picture",
            "check the order of x and y, and the size of the picture they were drawn on",
        ),
        "partly outside": Kind(
            "partly outside the picture",
            "lie more than a quarter outside their picture",
            "check the order of x and y, and the size of the picture they were drawn on",
            refused=False,
        ),
        "no area": Kind("without area", "are only a point, a line or one pixel", "draw the outline around the object"),
        "overlap": Kind(
            "overlapping parts",
            "are empty because all their parts overlap",
            "use --overlap union to keep what parts share, or draw it once",
        ),
        "empty": Kind("empty", "are empty", "draw the object; if the expression refers to nothing, give an empty list of polygons"),
        "whole": Kind("whole picture", "cover the whole picture", "make everything but the object black"),
        "background": Kind(
            "background is not black",
            "cover the whole picture, because their background is not 0",
            "make the background black, which is 0",
        ),
        "noise": Kind(
            "background is nearly black",
            "have a background that is nearly black, which counts as the object",
            "make it black; a mask that was a JPEG once has such a background",
        ),
        "inverted": Kind(
            "black object on white",
            "cover the whole border and leave out something inside",
            "draw the object white on black; if it really surrounds something, give its mask as RLE",
        ),
        "alpha": Kind(
            "object in the alpha channel",
            "have their object in the alpha channel",
            "nothing, if that is right: the object is read from there; look at some with `cache show`",
            refused=False,
        ),
        "turned": Kind(
            "on photographs that EXIF turns",
            "are on photographs that EXIF turns, and are read as drawn on the stored ones",
            "use --upright if they were drawn on the photographs as people see them, --no-upright if on the stored ones",
        ),
        "left out": Kind("left out", "cannot be drawn and are left out", "correct these outlines in the annotations", refused=False),
    }
)
"""What is counted, in the order of the report; a mask has at most one of those before `alpha`."""


class MaskAudit:
    """Counts what is odd about the masks of a data set, taken in one after the other."""

    def __init__(self) -> None:
        self._masks: Counter[str] = Counter()
        self._odd: dict[tuple[str, str], list[str]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def take(self, referent: Referent, kinds: Sequence[str]) -> None:
        """Take in a referent and the kinds that fit its mask."""
        if referent.objects:
            self._masks[referent.split] += 1
            for kind in kinds:
                self._count(referent, kind)

    def leave_out(self, referent: Referent) -> None:
        """Take in a referent whose outline cannot be drawn."""
        self._masks[referent.split] += 1
        self._count(referent, "left out")

    def _count(self, referent: Referent, kind: str) -> None:
        place = referent.split, kind
        self._counts[place] += 1
        examples = self._odd.setdefault(place, [])
        if len(examples) < EXAMPLES:
            said = referent.sentences[0].text[:_LONGEST_SENTENCE] if referent.sentences else ""
            examples.append(f'{referent.image.path.name} "{said}" ({referent.named})')

    def findings(self) -> tuple[MaskFinding, ...]:
        """All that was found, by split in the order of the annotations, then by kind in the order of `KINDS`."""
        places = [(split, kind) for split in self._masks for kind in KINDS if (split, kind) in self._odd]
        return tuple(MaskFinding(*each, self._counts[each], self._masks[each[0]], tuple(self._odd[each])) for each in places)


def kinds_of(referent: Referent, mask: NDArray[np.uint8]) -> Iterator[str]:
    """The keys of `KINDS` that fit a referent of some objects, and its mask as it was drawn."""
    if referent.oddity in ("background", "noise", "inverted"):
        yield referent.oddity
    elif kind := _kind_of_outline(referent.objects, mask):
        yield kind
    if referent.oddity in ("alpha", "turned"):
        yield referent.oddity


def _kind_of_outline(objects: Sequence[Any], mask: NDArray[np.uint8]) -> str | None:
    (height, width), pixels = mask.shape, int(np.count_nonzero(mask))
    parts = [part for each in objects for part in (each if isinstance(each, list) else [each])]
    if pixels == mask.size:
        return "whole"
    if all(isinstance(part, list) for part in parts) and (kind := _kind_of_polygons(parts, pixels, height, width)):
        return kind
    if not pixels:
        return "overlap" if len(parts) > 1 and rasterise(objects, height, width, "union").any() else "empty"
    return "no area" if pixels == 1 else None


def _kind_of_polygons(parts: Sequence[list[float]], pixels: int, height: int, width: int) -> str | None:
    polygons, size = [np.asarray(part, np.float64).reshape(-1, 2) for part in parts], np.array([width, height])
    low = np.array([polygon.min(axis=0) for polygon in polygons])
    high = np.array([polygon.max(axis=0) for polygon in polygons])
    if high.max() <= _LARGEST_SHARE and low.min() >= 1 - _LARGEST_SHARE and size.min() > 2 * _LARGEST_SHARE:
        return "normalised"
    if not pixels and ((high <= 0) | (low >= size)).any(axis=1).all():
        return "outside"
    if pixels <= 2 * size.max() and all(map(_is_line, polygons)):
        return "no area"
    return "partly outside" if pixels and _share_outside(low.min(axis=0), high.max(axis=0), size) > _OUTSIDE else None


def _is_line(corners: NDArray[np.float64]) -> bool:
    """Whether corners (n, 2) lie on one line, or are one point."""
    steps = corners - corners[0]
    farthest = steps[np.abs(steps).sum(axis=1).argmax()]
    return bool((np.abs(steps[:, 0] * farthest[1] - steps[:, 1] * farthest[0]) < 1e-6).all())


def _share_outside(low: NDArray[np.float64], high: NDArray[np.float64], size: NDArray[Any]) -> float:
    """The part of a box from `low` to `high` (x, y) that lies outside a picture of `size` (width, height)."""
    inside = np.clip(np.minimum(high, size) - np.maximum(low, 0), 0, None)
    return float(1 - inside.prod() / (high - low).prod())


def described(finding: MaskFinding) -> str:
    """A finding as a sentence, without the remedy."""
    counted = f"{finding.count:,} of {finding.masks:,} masks"
    return f"{finding.split}: {counted} {KINDS[finding.kind].says}: {'; '.join(finding.examples)}"


def require_sound(findings: Sequence[MaskFinding], *, strict: bool) -> None:
    """Refuse masks that cannot be right.

    Raises:
        AnnotationError: all masks of a split are of one kind that is refused then; or, with `strict`, there is any odd one.
    """
    wrong = [each for each in findings if strict or (KINDS[each.kind].refused and each.count == each.masks)]
    if wrong:
        reason = "--strict allows no odd masks" if strict else "all masks of a split are wrong in the same way"
        listed = "\n".join(f"  {described(each)}" for each in wrong)
        raise AnnotationError(f"{reason}:\n{listed}", hint="; ".join(dict.fromkeys(KINDS[each.kind].remedy for each in wrong)))


def audit_warnings(findings: Sequence[MaskFinding]) -> list[str]:
    """One for each finding, with what to do about it."""
    remedies = [KINDS[each.kind].remedy for each in findings]
    return [f"{described(each)}. {remedy[0].upper()}{remedy[1:]}" for each, remedy in zip(findings, remedies, strict=True)]
