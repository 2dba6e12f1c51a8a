"""Pictures of any kind to arrays: decoding, EXIF, resizing, outlines and masks. Knows no data set, no HDF5 and no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Segmentation = list[Any] | Mapping[str, Any]
"""COCO's forms of one object's outline: a list of polygons, an RLE dict, or a list of RLE dicts."""

OverlapRule = Literal["paper", "union"]
"""What becomes of pixels that several polygons of one object share; `masks.rasterise` says what each does."""
