"""Predictions as one COCO file, as annotation tools read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmirnet_cli.files import new_file


def write_coco(target: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write images, categories (every expression is one) and annotations (RLE masks with scores); whole or not at all.

    COCO knows no empty mask: where nothing was found, the image has no annotation.

    Args:
        target: the JSON file.
        lines: of an index of predictions; gone through three times, so that they need not be in memory.

    Raises:
        CmirnetError: the file cannot be written.
    """
    sizes = {line["image"]: line["size"] for line in lines}
    image_ids = {name: number for number, name in enumerate(sizes, start=1)}
    category_ids = {name: number for number, name in enumerate(dict.fromkeys(line["expression"] for line in lines), start=1)}
    with new_file(target) as path, path.open("x", encoding="utf-8") as file:
        file.write('{"images": [')
        file.writelines(_listed(_image(number, name, sizes[name]) for name, number in image_ids.items()))
        file.write('], "categories": [')
        file.writelines(_listed({"id": number, "name": name} for name, number in category_ids.items()))
        file.write('], "annotations": [')
        found = (line for line in lines if line["area"])
        file.writelines(
            _listed(
                _annotation(number, image_ids[line["image"]], category_ids[line["expression"]], line)
                for number, line in enumerate(found, start=1)
            )
        )
        file.write("]}\n")


def _listed(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for number, item in enumerate(items):
        yield (",\n" if number else "\n") + json.dumps(item)


def _image(number: int, name: str, size: Sequence[int]) -> dict[str, Any]:
    return {"id": number, "file_name": name, "height": size[0], "width": size[1]}


def _annotation(number: int, image: int, category: int, line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": line["rle"],
        "bbox": line["box"],
        "area": line["area"],
        "iscrowd": 0,
        "score": line["score"],
    }
