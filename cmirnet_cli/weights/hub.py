"""Downloads weights from the Hugging Face hub and uploads them; nothing else. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.file_download import repo_folder_name

from cmirnet_cli.errors import WeightsError, first_line
from cmirnet_cli.hub import REFUSALS, Remote, if_it_answers, require_fetchable
from cmirnet_cli.weights.checkpoint_files import TOKENIZER_FILES, chosen_checkpoint
from cmirnet_cli.weights.folder import CONFIG_FILE, MODEL_FILE, PLACES

FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""Files that a weights folder is made of; a tokenizer may have a vocabulary as text or as a sentencepiece model."""

_NAME = re.compile(r"(?P<repository>\w[\w.-]*/[\w.-]+)(@(?P<revision>[^:@\s]+))?(:(?P<file>[^:]+))?")


@dataclass(frozen=True)
class HubName:
    """What is written as `org/name`, `org/name@revision` or `org/name:path/in/repository.pth`.

    Attributes:
        repository: `org/name`.
        revision: a branch, a tag or a commit; None for the newest.
        file: a file in the repository; None where it is to be found.
    """

    repository: str
    revision: str | None
    file: str | None

    @classmethod
    def parse(cls, text: str) -> HubName | None:
        """The name that a text is; None if it is not one."""
        found = _NAME.fullmatch(text)
        return cls(**found.groupdict()) if found else None

    @property
    def remote(self) -> Remote:
        """What is fetched."""
        return Remote(self.repository, f"there is no folder {self}, and the repository {self}", "FOLDER in its place")

    def __str__(self) -> str:
        return self.repository + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True)
class Fetched:
    """The local copy of a repository, and which of its files is the official checkpoint; None if it is a weights folder."""

    folder: Path
    checkpoint: Path | None


def download(name: HubName) -> Fetched:
    """The local copy of weights on the hub; what exists already is not fetched again, and nothing of it is run.

    Raises:
        WeightsError: there is no such repository, it holds no weights, or several official checkpoints, or the hub cannot be reached and
            there is no local copy.
    """
    require_fetchable(name.remote)
    try:
        with if_it_answers():
            sizes, copy = _files(name)
            ours = name.file is None and any({f"{place}{CONFIG_FILE}", f"{place}{MODEL_FILE}"} <= sizes.keys() for place in PLACES)
            checkpoint = None if ours else chosen_checkpoint(str(name), sizes, name.file)
            wanted = [escape(checkpoint), *TOKENIZER_FILES] if checkpoint else FILES
            folder = copy or Path(snapshot_download(name.repository, revision=name.revision, allow_patterns=wanted))
    except REFUSALS as error:
        raise WeightsError(
            f"there is no folder {name}, and it could not be downloaded from the hub: {first_line(error)}",
            hint="check the path, or the hub id and the network; `hf auth login` opens repositories that are not public",
        ) from error
    return Fetched(folder, folder / checkpoint if checkpoint else None)


def _files(name: HubName) -> tuple[Mapping[str, int | None], Path | None]:
    """The files of a repository with their sizes in bytes; and its local copy where the hub says nothing of it."""
    try:
        info = HfApi().model_info(name.repository, revision=name.revision, files_metadata=True)
    except REFUSALS:
        if (copy := _copy(name)) is None:
            raise
        return {path.relative_to(copy).as_posix(): path.stat().st_size for path in copy.rglob("*") if path.is_file()}, copy
    return {file.rfilename: file.size for file in info.siblings or []}, None


def _copy(name: HubName) -> Path | None:
    """The folder with what was fetched of a revision before."""
    folder = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=name.repository, repo_type="model"))
    revision = name.revision or constants.DEFAULT_REVISION
    reference = folder / "refs" / revision
    snapshot = folder / "snapshots" / (reference.read_text().strip() if reference.is_file() else revision)
    return snapshot if snapshot.is_dir() else None


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
