"""Data sets on the Hugging Face hub: `hf://datasets/org/name` is the local copy of that repository's annotation files."""

from __future__ import annotations

import re
from pathlib import Path

from cmirnet_cli.errors import AnnotationError, first_line

_ADDRESS = re.compile(r"hf://datasets/(?P<id>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[^/]+))?(?:/(?P<inside>.+))?")
_ANNOTATIONS = ["*.parquet", "*.json", "*.jsonl", "*.xml"]
"""What is fetched of a repository where no file or folder of it is named; photographs lie beside COCO's own, not there."""


def is_on_hub(source: str) -> bool:
    """Whether a source is an address of the hub."""
    return source.startswith("hf://")


def repository_of(source: str) -> str:
    """The name of the data set in an address, without its organisation; names on the hub cannot have a plus, and `plus` stands for it."""
    address = _ADDRESS.fullmatch(source.rstrip("/"))
    name = address["id"].split("/")[1] if address else source
    return "refcoco+" if name == "refcocoplus" else name


def fetched(source: str) -> Path:
    """The local copy of `hf://datasets/org/name`, or of a file or folder in it; what exists already is not fetched again.

    Raises:
        AnnotationError: it is no such address, there is no such data set, or the hub cannot be reached and no copy is there.
    """
    from huggingface_hub import snapshot_download

    from cmirnet_cli.hub import REFUSALS, has_copy, if_it_answers, way_in, why_offline

    address = _ADDRESS.fullmatch(source.rstrip("/"))
    if address is None:
        raise AnnotationError(f"{source} is not a data set on the hub", hint="write hf://datasets/ORGANISATION/NAME, or add a file in it")
    inside = address["inside"]
    patterns = [inside, f"{inside}/*"] if inside else _ANNOTATIONS
    if not has_copy(address["id"], "dataset") and (reason := why_offline()):
        hint = way_in({f"{address['id']} --repo-type dataset": "that folder in its place"})
        raise AnnotationError(f"{source} cannot be fetched: {reason}, and this machine has no copy", hint=hint)
    try:
        with if_it_answers():
            folder = Path(snapshot_download(address["id"], repo_type="dataset", revision=address["revision"], allow_patterns=patterns))
    except REFUSALS as error:
        raise AnnotationError(
            f"{source} could not be fetched: {first_line(error)}",
            hint="check the name and the network; with HF_HUB_OFFLINE=1 only a copy that was fetched before is used",
        ) from error
    place = folder / inside if inside else folder
    if not place.exists():
        raise AnnotationError(f"there is no {inside} in {address['id']}", hint="look at the list of its files on the hub")
    return place
