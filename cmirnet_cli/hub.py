"""Whether the Hugging Face hub answers: found out within seconds, before a library asks it and waits, tries again and warns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Thread

from huggingface_hub import constants, get_session
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.file_download import repo_folder_name

from cmirnet_cli.errors import WeightsError, first_line

PATIENCE = 2.5
"""Seconds to wait for the hub, looking up its address included."""

_TransportError: type[Exception] = HfHubHTTPError.__bases__[0]
"""The base of all errors of the hub's HTTP client, which is another library in some versions."""

REFUSALS = (_TransportError, HFValidationError, OSError)
"""What the hub's library raises on a hub that cannot be reached or refuses."""


def why_offline(seconds: float = PATIENCE) -> str | None:
    """Why nothing can be fetched from the hub; None if it answers in that time. Asks it once."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    problem = _silence(constants.ENDPOINT, seconds)
    return f"{constants.ENDPOINT} cannot be reached: {problem}" if problem else None


@contextmanager
def if_it_answers() -> Iterator[None]:
    """While the block runs, libraries use only what they fetched before if the hub does not answer, as with HF_HUB_OFFLINE=1."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = why_offline() is not None
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def has_copy(repository: str, kind: str = "model") -> bool:
    """Whether something of a repository was fetched before."""
    folder = repo_folder_name(repo_id=repository, repo_type=kind)
    return any(Path(constants.HF_HUB_CACHE, folder, "snapshots").glob("*"))


@dataclass(frozen=True)
class Remote:
    """What may have to be fetched.

    Attributes:
        repository: as `organisation/name`.
        what: what it is, such as "the text encoder org/name".
        option: what a local copy is given with, such as `--set text.source=FOLDER`.
    """

    repository: str
    what: str
    option: str


def require_fetchable(*wanted: Remote) -> None:
    """Refuse repositories that were never fetched while the hub does not answer, all of them at once.

    Raises:
        WeightsError: neither this machine nor the hub can give them.
    """
    missing = [each for each in wanted if not has_copy(each.repository)]
    if missing and (reason := why_offline()):
        what = " and ".join(each.what for each in missing)
        ways = {each.repository: each.option for each in missing}
        raise WeightsError(f"{what} cannot be fetched: {reason}, and this machine has no copy", hint=way_in(ways))


def way_in(options: Mapping[str, str]) -> str:
    """The hint for those without a network: each repository with the option that names a copy."""
    ways = [f"run `hf download {repository} --local-dir FOLDER` and use {option}" for repository, option in options.items()]
    return (
        f"connect to the network; or, where there is one, {'; '.join(ways)}. "
        "With HF_HUB_OFFLINE=1 the hub is not contacted, and only files that were downloaded before are used"
    )


@cache
def _silence(endpoint: str, seconds: float) -> str | None:
    """Why a hub gives no answer in that time; None if it does. Looking up an address knows no limit of time, so a thread does it."""
    problems: list[str | None] = []

    def request() -> None:
        try:
            get_session().head(endpoint, timeout=seconds)
            problems.append(None)
        except REFUSALS as error:
            problems.append(first_line(error))

    thread = Thread(target=request, daemon=True)
    thread.start()
    thread.join(seconds)
    return problems[0] if problems else f"no answer within {seconds:g} s"
