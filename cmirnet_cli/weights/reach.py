"""Whether the Hugging Face hub answers, and whether what training fetches from it is in the local cache. Light: no torch."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

from huggingface_hub import constants, get_session, try_to_load_from_cache

from cmirnet_cli.config import TextConfig
from cmirnet_cli.errors import first_line
from cmirnet_cli.findings import Finding
from cmirnet_cli.weights.hub import REFUSALS

PATIENCE = 2.5
"""Seconds that the hub is waited for, looking up its address included."""

_ELSEWHERE = "name files at hand instead: --set text.source=FOLDER, --backbone-weights FILE"


def hub_findings(seconds: float = PATIENCE) -> Iterator[Finding]:
    """Whether the hub can be reached; that it cannot is no error, as everything works with files at hand."""
    endpoint = constants.ENDPOINT
    if constants.HF_HUB_OFFLINE:
        yield Finding("note", "hub", "HF_HUB_OFFLINE is set: nothing is fetched", f"unset it, or {_ELSEWHERE}")
    elif problem := _unreachable(seconds):
        yield Finding("note", "hub", f"{endpoint} cannot be reached: {problem}", f"check the network and proxies, or {_ELSEWHERE}")
    else:
        yield Finding("ok", "hub", f"{endpoint} answers")
    yield _text_encoder(TextConfig().source)


def _text_encoder(source: str) -> Finding:
    if isinstance(try_to_load_from_cache(source, "config.json"), str):
        return Finding("ok", "text encoder", f"{source} is in the local cache")
    advice = f"training fetches it once; without the hub, fetch it elsewhere (hf download {source}) and use --set text.source=FOLDER"
    return Finding("note", "text encoder", f"{source}, with which the published recipes start, is not in the local cache", advice)


def _unreachable(seconds: float) -> str | None:
    """Why the hub gives no answer in that time; None if it does. Looking up an address knows no limit of time, so a thread asks."""
    answers: list[str | None] = []
    asking = Thread(target=lambda: answers.append(_refusal(seconds)), daemon=True)
    asking.start()
    asking.join(seconds)
    return answers[0] if answers else f"no answer within {seconds:g} s"


def _refusal(seconds: float) -> str | None:
    try:
        get_session().head(constants.ENDPOINT, timeout=seconds)
    except REFUSALS as error:
        return first_line(error)
    return None
