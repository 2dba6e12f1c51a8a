"""Data sets on the hub: the local copy of a repository, and what is said where there is none. Nothing here uses a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.refer.hub import fetched, is_on_hub, repository_of
from cmirnet_cli.refer.sources import packed
from tests.unit.refer.test_readers import write_coco

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FETCH = """
import sys
from cmirnet_cli.errors import AnnotationError
from cmirnet_cli.refer.hub import fetched
for source in sys.argv[1:]:
    try:
        print(fetched(source))
    except AnnotationError as error:
        print(error.message, error.hint, sep=" | ")
"""


def test_offline_the_copy_that_was_fetched_before_is_used_and_another_is_refused(tmp_path: Path):
    repository = tmp_path / "hub" / "datasets--org--name"
    copy = repository / "snapshots" / COMMIT
    copy.mkdir(parents=True)
    write_coco(copy)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    sources = ["hf://datasets/org/name", "hf://datasets/org/name/export.json", "hf://datasets/org/name/no.json", "hf://datasets/org/other"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", FETCH, *sources], env=environment, capture_output=True, text=True, check=True)
    whole, file, missing, other = ended.stdout.splitlines()
    assert (whole, file) == (str(copy), str(copy / "export.json"))
    assert missing.startswith("there is no no.json in org/name")
    assert other.startswith("hf://datasets/org/other cannot be fetched: HF_HUB_OFFLINE is set, and this machine has no copy")
    assert "HF_HUB_OFFLINE" in other


def test_a_data_set_on_the_hub_is_fetched_by_the_reader_alone_and_not_to_look_for_archives():
    assert list(packed("hf://no-address")) == []


@pytest.mark.parametrize(
    ("source", "name"),
    [("hf://datasets/org/mine", "mine"), ("hf://datasets/org/mine/a.json", "mine"), ("hf://datasets/org/refcocoplus/", "refcoco+")],
)
def test_a_data_set_has_its_repositorys_name_with_a_plus_where_the_hub_allows_none(source: str, name: str):
    assert repository_of(source) == name


@pytest.mark.parametrize("source", ["hf://org/name", "hf://datasets/name", "hf://"])
def test_an_address_of_nothing_is_refused_before_anything_is_asked(source: str):
    assert is_on_hub(source)
    with pytest.raises(AnnotationError, match="not a data set on the hub"):
        fetched(source)
