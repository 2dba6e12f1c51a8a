"""What the page is put together from."""

from __future__ import annotations

from collections.abc import Mapping

from nicegui import ui
from nicegui.events import Handler, UploadEventArguments

from cmirnet_cli.web.answers import ExpressionResult

MEGABYTE = 1_000_000

ZONE = """
<div class="zone" role="button" tabindex="0" @keydown.enter.prevent="props.pickFiles" @keydown.space.prevent="props.pickFiles">
  <b>Drop an image here, or choose one</b>
  <span class="faint">JPEG, PNG, WebP, TIFF and others, up to {megabytes} MB</span>
  <q-uploader-add-trigger></q-uploader-add-trigger>
</div>"""


def heading(weights: str) -> None:
    """What this is, and which weights answer."""
    with ui.element("header"):
        with ui.element("h1"):
            ui.label("Find it in an image")
        ui.label(f"cmirnet, with {weights}").classes("faint")


def zone(megabytes: int, take: Handler[UploadEventArguments]) -> ui.upload:
    """Where an image is dropped or chosen."""
    upload = ui.upload(max_file_size=megabytes * MEGABYTE, auto_upload=True, on_upload=take)
    upload.props('accept="image/*" flat').classes("drop").add_slot("header", ZONE.format(megabytes=megabytes))
    return upload


def text() -> ui.textarea:
    """Where expressions are typed."""
    area = ui.textarea("What to find, one expression a line", placeholder="the red cup\nleft person")
    return area.props("outlined autogrow stack-label spellcheck=false")


def find_button() -> ui.button:
    """Asks."""
    with ui.element("div").classes("line"):
        button = ui.button("Find").props("unelevated no-caps").classes("find")
        ui.label("or Ctrl and Enter").classes("faint")
    return button


def photo_shown(address: str, name: str, width: int, height: int) -> None:
    """The image that is asked about."""
    _picture(address, name).classes("photo")
    ui.label(f"{name}, {width} × {height}").classes("faint caption")


def card(answer: ExpressionResult, overlay: str, files: Mapping[str, str], tokens: int) -> None:
    """An answer.

    Args:
        answer: what is said.
        overlay: address of its picture.
        files: what can be downloaded, such as `mask`, and its address.
        tokens: how many of them the network reads.
    """
    with ui.element("article").classes("answer"):
        _picture(overlay, f"{answer.expression}: drawn on the image")
        with ui.element("div").classes("line"):
            ui.label(answer.expression).classes("expression")
            ui.label("nothing found" if answer.is_empty else f"score {answer.score:.2f}").classes("faint")
            for kind, address in files.items():
                _download(address, kind, answer)
        if answer.cut:
            ui.label(f"Cut at {tokens} tokens, as the network reads no more.").classes("faint note")


def _picture(address: str, described: str) -> ui.element:
    image = ui.element("img")
    image.props.update(src=address, alt=described)
    return image


def _download(address: str, kind: str, answer: ExpressionResult) -> None:
    with ui.element("a") as link:
        ui.label(kind.capitalize())
    link.props.update({"href": address, "download": answer.file_name(kind), "aria-label": f"{kind.capitalize()} of {answer.expression}"})
