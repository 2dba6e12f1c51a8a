"""What an export computes beside freshly loaded fp32 weights, in numbers.

Legend: B batch, S image side, H × W in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.errors import ExportError
from cmirnet_cli.export.preprocessing import Floats
from cmirnet_cli.export.spec import Precision

PARITY_FILE = "parity.json"


@dataclass(frozen=True)
class Tolerance:
    """How far an export may be from its weights.

    Attributes:
        logits: largest difference of a logit, in standard deviations of the weights' logits; None: not limited.
        pixels: smallest share of pixels on which the masks agree, over all samples.
        iou: smallest mean IoU of the export's masks with those of the weights; None: not limited.
    """

    logits: float | None
    pixels: float
    iou: float | None = None


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(logits=1e-3, pixels=0.999),
    "fp16": Tolerance(logits=None, pixels=0.995),
    "int8": Tolerance(logits=None, pixels=0.95, iou=0.5),
}


@dataclass(frozen=True)
class Compared:
    """One batch through both.

    Attributes:
        batch: B.
        height: of its images, in pixels.
        width: of its images, in pixels.
        logits_error: largest difference of a logit, in standard deviations of the weights' logits.
        equal_pixels: share of pixels on which the masks agree.
        intersections: for each sample, pixels in both masks.
        unions: for each sample, pixels in either mask.
    """

    batch: int
    height: int
    width: int
    logits_error: float
    equal_pixels: float
    intersections: tuple[int, ...]
    unions: tuple[int, ...]

    @property
    def ious(self) -> list[float]:
        """Of each sample's two masks; two empty ones agree."""
        return [shared / either if either else 1.0 for shared, either in zip(self.intersections, self.unions, strict=True)]


@dataclass(frozen=True)
class Parity:
    """All batches, and what they may not exceed.

    Attributes:
        samples: where they come from, in words.
        distinct: how many samples there were; where that is less than a batch of 1 and one of 3 need, some were taken again.
        provider: what ONNX Runtime ran on; None for other formats.
        tolerance: of the export's precision.
        batches: in the order in which they ran.
    """

    samples: str
    distinct: int
    provider: str | None
    tolerance: Tolerance
    batches: tuple[Compared, ...]

    @property
    def comparisons(self) -> int:
        """Of a mask each; a sample that was taken again, or at another size, counts as often."""
        return sum(each.batch for each in self.batches)

    @property
    def logits_error(self) -> float:
        """Of the worst batch; no number if there is one among the logits that is none."""
        return float(np.max([each.logits_error for each in self.batches]))

    @property
    def equal_pixels(self) -> float:
        """Over all pixels of all samples."""
        pixels = [each.batch * each.height * each.width for each in self.batches]
        return float(np.average([each.equal_pixels for each in self.batches], weights=pixels))

    @property
    def mean_iou(self) -> float:
        """Of the export's masks with those of the weights."""
        return float(np.mean([iou for each in self.batches for iou in each.ious]))

    @property
    def overall_iou(self) -> float:
        """Of all masks together."""
        either = sum(sum(each.unions) for each in self.batches)
        return sum(sum(each.intersections) for each in self.batches) / either if either else 1.0

    def alike(self) -> list[Parity]:
        """Batches of equal shape together, each kind on its own."""
        shapes = dict.fromkeys((each.batch, each.height, each.width) for each in self.batches)
        groups = [tuple(each for each in self.batches if (each.batch, each.height, each.width) == shape) for shape in shapes]
        return [replace(self, batches=group) for group in groups]

    def described(self) -> dict[str, object]:
        """As `parity.json` holds it."""
        measured = {name: getattr(self, name) for name in ("logits_error", "equal_pixels", "mean_iou", "overall_iou")}
        return {"compared_with": "freshly loaded fp32 weights", **measured, **asdict(self)}

    def require_within(self) -> None:
        """Refuse what is outside the tolerance.

        Raises:
            ExportError: names what was measured and what it may be.
        """
        if outside := list(self._outside()):
            hint = "nothing was written; int8 needs typical images and sentences, fp16 and fp32 should agree: please report it"
            raise ExportError(f"the export does not agree with its weights: {'; '.join(outside)}", hint=hint)

    def _outside(self) -> Sequence[str]:
        allowed, found = self.tolerance, []
        if not np.isfinite(self.logits_error):
            found.append("its logits are not all numbers")
        elif allowed.logits is not None and self.logits_error > allowed.logits:
            found.append(f"logits differ by {self.logits_error:.2g} of their deviation, and {allowed.logits:g} is allowed")
        if self.equal_pixels < allowed.pixels:
            found.append(f"{self.equal_pixels:.3%} of the masks' pixels are equal, and {allowed.pixels:.1%} must be")
        if allowed.iou is not None and self.mean_iou < allowed.iou:
            found.append(f"its masks have a mean IoU of {self.mean_iou:.3f} with those of the weights, and {allowed.iou:g} must be")
        return found


def compare(found: Floats, expected: Floats) -> Compared:
    """Logits float32 (B, 2, H, W) of an export with those of the weights."""
    batch, _, height, width = expected.shape
    ours, theirs = _masks(found), _masks(expected)
    error = float(np.abs(found - expected).max() / expected.std())
    shared, either = (ours & theirs).sum(axis=(1, 2)), (ours | theirs).sum(axis=(1, 2))
    return Compared(batch, height, width, error, float((ours == theirs).mean()), tuple(shared.tolist()), tuple(either.tolist()))


def _masks(logits: Floats) -> NDArray[np.bool_]:
    masks: NDArray[np.bool_] = logits[:, 1] > logits[:, 0]
    return masks
