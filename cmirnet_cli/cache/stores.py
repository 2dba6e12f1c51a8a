"""The two ways a shard keeps its images: pixels at the network's size, or the original file's bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from cmirnet_cli.cache.annotations import starts_of
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.errors import CacheError, ImageError
from cmirnet_cli.images.pixels import resized, rgb, source_bytes, source_size
from cmirnet_cli.refer.referent import ImageRecord

Bytes = NDArray[np.uint8]
Datasets = Callable[[str], h5py.Dataset]
"""One data set of a shard, by name."""

_FILES, _STARTS, _UPRIGHT = "files", "files_starts", "files_upright"


class ImageStore(Protocol):
    """How images get into a shard and out of it."""

    def estimate(self, image: ImageRecord) -> int:
        """Bytes one image takes; nothing is decoded."""

    def create(self, file: h5py.File, images: Sequence[ImageRecord]) -> None:
        """Make the shard's data sets, with room for `images`."""

    def prepare(self, image: ImageRecord) -> list[Bytes]:
        """Read one image file into the arrays that are kept of it; safe in a thread."""

    def put(self, file: h5py.File, row: int, arrays: list[Bytes]) -> None:
        """Write what `prepare` made as the shard's image `row`."""

    def read(self, datasets: Datasets, row: int, size: int, path: str, out: Bytes | None = None) -> Bytes:
        """uint8 (S, S, 3) of the shard's image `row`, in `out` where that is given; `path` is named in errors."""


def store_of(options: CacheOptions) -> ImageStore:
    """The store that the options name."""
    return DecodedStore(options.sizes) if options.store == "decoded" else EncodedStore()


class DecodedStore:
    """One uncompressed data set uint8 (n, S, S, 3) per size, one chunk an image."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes

    def estimate(self, image: ImageRecord) -> int:
        """As `ImageStore`."""
        return sum(3 * size * size for size in self.sizes)

    def create(self, file: h5py.File, images: Sequence[ImageRecord]) -> None:
        """As `ImageStore`."""
        for size in self.sizes:
            shape = (len(images), size, size, 3)
            file.create_dataset(str(size), shape, np.uint8, chunks=(1, *shape[1:]), fill_time="never", track_times=False)

    def prepare(self, image: ImageRecord) -> list[Bytes]:
        """As `ImageStore`: pixels at each size."""
        picture = rgb(source_bytes(image.path), str(image.path), upright=image.upright)
        return [resized(picture, size, size) for size in self.sizes]

    def put(self, file: h5py.File, row: int, arrays: list[Bytes]) -> None:
        """As `ImageStore`."""
        for size, pixels in zip(self.sizes, arrays, strict=True):
            file[str(size)][row] = pixels

    def read(self, datasets: Datasets, row: int, size: int, path: str, out: Bytes | None = None) -> Bytes:
        """As `ImageStore`. Raises CacheError for a size that was not prepared."""
        if size not in self.sizes:
            held = ", ".join(map(str, self.sizes))
            hint = "prepare it again with that --size, or with --store encoded"
            raise CacheError(f"the cache holds images at {held} pixels, not at {size}", hint=hint)
        pixels = np.empty((size, size, 3), np.uint8) if out is None else out
        datasets(str(size)).id.read_direct_chunk((row, 0, 0, 0), out=pixels.reshape(-1))  # a third of the time of [row]
        return pixels


class EncodedStore:
    """The original files' bytes end to end, decoded and resized at each read.

    A photograph that EXIF turns is kept as its file has it, on its side, and set upright at each read where its data set wants that.
    """

    def estimate(self, image: ImageRecord) -> int:
        """As `ImageStore`."""
        return source_size(image.path)

    def create(self, file: h5py.File, images: Sequence[ImageRecord]) -> None:
        """As `ImageStore`."""
        starts = starts_of(source_size(image.path) for image in images)
        file.create_dataset(_STARTS, data=starts, track_times=False)
        file.create_dataset(_UPRIGHT, data=np.array([image.upright for image in images], np.uint8), track_times=False)
        file.create_dataset(_FILES, (int(starts[-1]),), np.uint8, fill_time="never", track_times=False)

    def prepare(self, image: ImageRecord) -> list[Bytes]:
        """As `ImageStore`: the file's bytes, which must decode."""
        source = source_bytes(image.path)
        rgb(source, str(image.path), upright=image.upright)
        return [np.frombuffer(source, np.uint8)]

    def put(self, file: h5py.File, row: int, arrays: list[Bytes]) -> None:
        """As `ImageStore`."""
        start, end = file[_STARTS][row : row + 2]
        if end - start != len(arrays[0]):
            raise ImageError("an image file changed while it was being read", hint="prepare the cache again")
        file[_FILES][start:end] = arrays[0]

    def read(self, datasets: Datasets, row: int, size: int, path: str, out: Bytes | None = None) -> Bytes:
        """As `ImageStore`, at any size."""
        start, end = datasets(_STARTS)[row : row + 2]
        source = datasets(_FILES)[start:end].tobytes()
        pixels = resized(rgb(source, path, upright=bool(datasets(_UPRIGHT)[row])), size, size)
        if out is None:
            return pixels
        out[...] = pixels
        return out
