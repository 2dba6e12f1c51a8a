"""Downloads weights folders from the Hugging Face hub and uploads them; nothing else."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from cmirnet_cli.errors import WeightsError, first_line
from cmirnet_cli.hub import REFUSALS, if_it_answers, require_fetchable

FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""Files that a weights folder is made of; a tokenizer may have a vocabulary as text or as a sentencepiece model."""


def download(hub_id: str) -> Path:
    """The local copy of a repository on the hub; what is there already is not fetched again, and nothing of it is run.

    Raises:
        WeightsError: there is no such repository, or the hub cannot be reached and there is no local copy.
    """
    require_fetchable(hub_id, f"there is no folder {hub_id}, and the repository {hub_id}", "FOLDER in its place")
    try:
        with if_it_answers():
            return Path(snapshot_download(hub_id, allow_patterns=FILES))
    except REFUSALS as error:
        raise WeightsError(
            f"there is no folder {hub_id}, and it could not be downloaded from the hub: {first_line(error)}",
            hint="check the path, or the hub id and the network",
        ) from error


def upload(folder: Path, repo_id: str, *, private: bool, message: str, api: HfApi | None = None) -> str:
    """Put a folder on the hub as one commit, into a repository that is made where it is missing; the commit's address.

    Raises:
        WeightsError: the hub cannot be reached or refuses.
    """
    api = api or HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message).commit_url)
    except REFUSALS as error:
        raise WeightsError(
            f"could not upload to {repo_id}: {first_line(error)}",
            hint="check the id and the network; `hf auth login` gives you the right to write",
        ) from error
