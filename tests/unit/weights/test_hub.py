"""Weights to and from the hub: a repository's local copy, and what is said where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import HfApi
from PIL import Image

from cmirnet_cli.engine.prediction.segmenter import Segmenter
from cmirnet_cli.errors import WeightsError
from cmirnet_cli.weights.bundle import Bundle, load_bundle, save_bundle
from cmirnet_cli.weights.hub import upload
from cmirnet_cli.weights.source import load_weights

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Recorder:
    """Takes the hub's place at the end of the wire and remembers what was asked of it."""

    def __init__(self, keep: Path) -> None:
        self.keep, self.made = keep, {}

    def create_repo(self, repo_id: str, **options: object) -> None:
        self.made = {"repo_id": repo_id, **options}

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> SimpleNamespace:
        folder_path.rename(self.keep)
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/{commit_message}")


@pytest.mark.parametrize("bundle", ["resnet-nano"], indirect=True)
def test_offline_a_hub_id_means_its_local_copy_and_without_one_is_refused(bundle: Bundle, offline: Path):
    repository, photo = offline / "models--org--name", Image.new("RGB", (50, 40), "green")
    save_bundle(bundle, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    by_id, by_folder = (Segmenter.from_pretrained(source) for source in ("org/name", repository / "snapshots" / COMMIT))
    assert by_id.predict(photo, "left person")[0].score == by_folder.predict(photo, "left person")[0].score
    with pytest.raises(WeightsError, match="the repository org/nothing cannot be fetched: HF_HUB_OFFLINE is set") as caught:
        Segmenter.from_pretrained("org/nothing")
    assert "hf download org/nothing --local-dir FOLDER" in caught.value.hint


@pytest.mark.parametrize("name", ["runs/missing.pth", "a/b/c", "nowhere"])
def test_what_cannot_be_a_hub_id_is_not_looked_for_there(name: str):
    with pytest.raises(WeightsError, match=f"no weights at {name}"):
        load_weights(name)


@pytest.mark.parametrize("bundle", ["swin-nano"], indirect=True)
def test_pushed_folder_is_whole_and_gives_the_same_logits(bundle: Bundle, tmp_path: Path, logits: Callable[[Bundle], torch.Tensor]):
    hub = Recorder(tmp_path / "pushed")
    address = Segmenter(bundle, torch.device("cpu")).push_to_hub("org/name", license="mit", private=True, message="First", api=hub)
    assert address == "https://hub/org/name/First"
    assert hub.made == {"repo_id": "org/name", "private": True, "exist_ok": True}
    assert torch.equal(logits(load_bundle(hub.keep)), logits(bundle))
    assert 'from_pretrained("org/name")' in (hub.keep / "README.md").read_text()


def test_hub_that_cannot_be_reached_is_an_error_of_ours(tmp_path: Path):
    with pytest.raises(WeightsError, match="could not upload to org/name: ") as caught:
        upload(tmp_path, "org/name", private=False, message="x", api=HfApi(endpoint="http://127.0.0.1:9"))
    assert "hf auth login" in caught.value.hint


def test_id_that_no_repository_can_have_is_an_error_of_ours(tmp_path: Path):
    with pytest.raises(WeightsError, match="a/b/c"):
        upload(tmp_path, "a/b/c", private=False, message="x")
