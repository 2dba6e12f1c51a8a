"""Damaged files of every format: what is left of them is read, or refused with a reason; nothing else."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmirnet_cli.cache.drawing import draw_masks
from cmirnet_cli.cache.schema import CacheOptions
from cmirnet_cli.errors import DataError
from cmirnet_cli.refer.own import ReadOptions
from cmirnet_cli.refer.readers import READERS, read_own
from tests.unit.refer.test_readers import HEIGHT, WIDTH, WRITERS

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.just([]),
    st.just({}),
    st.just([[1, "x"]]),
    st.just("\ud800"),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in ((value, key), *places(inner))]


def damaged(file: Path, data: st.DataObject) -> bytes:
    """The file's bytes, cut, with some of them changed, or with values of its JSON replaced or removed."""
    content = file.read_bytes()
    if file.suffix == ".json" and data.draw(st.booleans()):
        top = deepcopy(json.loads(content))
        for _ in range(data.draw(st.integers(1, 3))):
            container, key = data.draw(st.sampled_from(places(top)))
            try:
                if data.draw(st.booleans()):
                    container[key] = deepcopy(data.draw(JUNK))
                else:
                    del container[key]
            except (KeyError, IndexError):
                continue
            if not places(top):
                break
        return json.dumps(top).encode("utf-8", "surrogatepass")
    if data.draw(st.booleans()):
        return content[: data.draw(st.integers(0, len(content)))]
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed)


def write_picture_rows(folder: Path) -> Path:
    from tests.unit.refer.test_parquet import PHOTOGRAPH, ROW, write

    return write(folder, ROW, ROW | {"expression": "it", "image": {"bytes": PHOTOGRAPH, "path": None}, "mask": None})


FORMATS = {**WRITERS, "parquet with pictures": write_picture_rows}


@pytest.mark.slow
@pytest.mark.parametrize("key", FORMATS)
def test_three_hundred_damaged_files_of_a_format_are_read_or_refused(key: str, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp(key)
    path = FORMATS[key](folder)
    reader = next(each for each in READERS if each.key == key.split(maxsplit=1)[0])
    (file,) = reader.files(path)
    whole, outcomes = file.read_bytes(), []

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def survive(data: st.DataObject) -> None:
        file.write_bytes(whole)
        file.write_bytes(damaged(file, data))
        try:
            dataset = read_own(path, reader, ReadOptions(), skip_bad=len(outcomes) % 2 == 1)
            sized = [each for each in dataset.referents if (each.image.width, each.image.height) == (WIDTH, HEIGHT)]
            draw_masks(replace(dataset, referents=tuple(sized)), CacheOptions(sizes=(8,)), lambda done: None)
            outcomes.append(len(dataset.referents))
        except DataError:
            outcomes.append(-1)

    survive()
    assert len(outcomes) >= 300
    assert -1 in outcomes
