"""The page: an image is dropped or an example chosen, expressions are typed, answers appear below."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from nicegui import events, ui

from cmirnet_cli.engine.prediction.segmenter import Segmenter
from cmirnet_cli.errors import CmirnetError, UsageError
from cmirnet_cli.images.drawing import EXPRESSION_COLOURS
from cmirnet_cli.images.palette import Colour, css
from cmirnet_cli.reports.pages.gallery import render
from cmirnet_cli.web.answers import (
    EXAMPLES,
    HALF,
    ExpressionResult,
    UploadedPhoto,
    example,
    expressions_in,
    overlay_of,
    predict_upload,
)
from cmirnet_cli.web.downloads import Downloads

ACCENT = "#00714f"
MEGABYTE = 1_000_000
JPEG, PNG = "image/jpeg", "image/png"
WHY_REFUSED = "(entries) => emit(entries[0].failedPropValidation)"
"""Why the browser does not even send a file, in its words."""

_ROOM = files("cmirnet_cli.web")
STYLE = render("colours.css.jinja") + _ROOM.joinpath("page.css").read_text(encoding="utf-8")
ICON = _ROOM.joinpath("icon.svg").read_text(encoding="utf-8")
ZONE = _ROOM.joinpath("zone.html").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Site:
    """What all visitors share.

    Attributes:
        segmenter: answers.
        weights: where it comes from.
        megabytes: the largest file that is taken.
        downloads: what can be fetched.
        turn: held by the visitor whose expression is worked on.
    """

    segmenter: Segmenter
    weights: str
    megabytes: int
    downloads: Downloads = field(default_factory=Downloads)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def welcome(self) -> None:
        """Put the page together for one more visitor."""
        Page(self)


@dataclass(frozen=True)
class Answer:
    """A result on the page: its colour, and the elements that change with the threshold.

    Attributes:
        result: what was found.
        colour: it is drawn in.
        address: of the picture, which is drawn anew each time it is fetched.
        picture: shows it.
        score: says it.
    """

    result: ExpressionResult
    colour: Colour
    address: str
    picture: ui.element
    score: ui.label


class Page:
    """One visitor's page, with the photo and the answers that it shows."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._photo: UploadedPhoto | None = None
        self._photo_file: list[str] = []
        self._answer_files: list[str] = []
        self._answers: list[Answer] = []
        self._draw()
        self._upload.on("rejected", self._refuse, js_handler=WHY_REFUSED)
        self._upload.on("uploaded", self._upload.reset, args=[])  # sooner would break it off
        self._upload.on("failed", lambda: self._say("The upload failed. Try again."), args=[])
        self._text.on("keydown.ctrl.enter", self._find, args=[])
        self._button.on_click(self._find)
        self._slider.on("change", self._redraw, args=[])  # once it is let go
        ui.on_exception(lambda problem: self._say(f"This failed: {problem or type(problem).__name__}. The terminal says more."))
        ui.context.client.on_delete(self._forget)

    def _draw(self) -> None:
        ui.add_css(STYLE)
        ui.colors(primary=ACCENT)
        with ui.element("header"):
            with ui.element("h1"):
                ui.label("Find it in an image")
            ui.label(f"cmirnet, with {self._site.weights}").classes("faint")
        self._upload = ui.upload(max_file_size=self._site.megabytes * MEGABYTE, auto_upload=True, on_upload=self._take)
        self._upload.props('accept="image/*" flat').classes("drop").add_slot("header", ZONE.format(megabytes=self._site.megabytes))
        with ui.element("div").classes("line examples"):
            ui.label("or try an example:").classes("faint")
            for name in EXAMPLES:
                ui.button(name, on_click=lambda name=name: self._try(name)).props("flat dense no-caps").classes("example")
        self._shown = ui.element("div")
        self._text = ui.textarea("What to find, one expression per line", placeholder="the red cup\nleft person")
        self._text.props("outlined autogrow stack-label spellcheck=false")
        with ui.element("div").classes("line"):
            self._button = ui.button("Find").props("unelevated no-caps").classes("find")
            ui.label("or Ctrl and Enter").classes("faint")
        self._message = ui.label().classes("message").props("role=status")
        with ui.element("section") as self._found:
            with ui.element("div").classes("line threshold"):
                percent = ui.label().classes("faint percent")
                self._slider = ui.slider(min=5, max=95, step=5, value=HALF).props('aria-label="Threshold in percent"')
                percent.bind_text_from(self._slider, "value", "Threshold {} %".format)
                ui.label("lower finds more, higher keeps only what is certain").classes("faint")
            self._together = ui.element("article").classes("answer together")
            self._list = ui.element("div").classes("answers").props("aria-live=polite")
        self._found.set_visibility(False)

    def _say(self, message: str) -> None:
        self._message.text = message

    def _refuse(self, event: events.GenericEventArguments) -> None:
        too_large = f"The file is larger than {self._site.megabytes} MB: make it smaller, or start with a larger --max-upload."
        self._say(too_large if event.args == "max-file-size" else "The file is not an image. Choose another one.")

    async def _take(self, event: events.UploadEventArguments) -> None:
        """Show an image that was uploaded, in place of the one before; where it cannot be read, that one stays."""
        self._say("")
        try:
            photo = await asyncio.to_thread(UploadedPhoto.of_file, event.file.name, await event.file.read())
        except CmirnetError as problem:
            self._say(f"{problem.message[:1].upper()}{problem.message[1:]}. Choose another one.")
            return
        self._put(photo)

    async def _try(self, name: str) -> None:
        """Show one of the examples, with expressions that fit it."""
        photo, expressions = await asyncio.to_thread(example, name)
        self._text.value = "\n".join(expressions)
        self._put(photo)

    def _put(self, photo: UploadedPhoto) -> None:
        """Show a photo in place of the one before, with its answers."""
        self._forget()
        self._photo = photo
        self._shown.clear()
        self._clear()
        with self._shown:
            _picture(self._offer(photo.preview, JPEG, self._photo_file), photo.name).classes("photo")
            ui.label(f"{photo.name}, {photo.width} × {photo.height}").classes("faint caption")
        self._text.run_method("focus")

    async def _find(self) -> None:
        """Answer what is typed, one expression after the other."""
        if not self._button.enabled:
            return
        self._button.props("loading").disable()
        self._say("")
        try:
            if self._photo is None:
                raise UsageError("There is no image yet", hint="drop one above")
            photo, expressions = self._photo, expressions_in(self._text.value)
            self._clear()
            colours = [EXPRESSION_COLOURS[place % len(EXPRESSION_COLOURS)] for place in range(len(expressions))]
            async for answer in self._results(photo, expressions):
                self._show(answer, colours[len(self._answers)])
                if len(self._answers) == 1:
                    self._come_into_view()
            if photo is self._photo and len(self._answers) > 1:
                self._show_together()
                self._come_into_view()
        except UsageError as problem:
            self._say(f"{problem.message}: {problem.hint}.")
        finally:
            self._button.props(remove="loading").enable()

    def _come_into_view(self) -> None:
        """Scroll to the answers once their pictures are there; on a phone they lie below the screen."""
        self._found.set_visibility(True)
        scroll = f"getHtmlElement({self._found.id}).scrollIntoView({{behavior: 'smooth', block: 'start'}})"
        pictures = f"[...getHtmlElement({self._found.id}).querySelectorAll('img')].map((each) => each.decode())"
        self._found.client.run_javascript(f"requestAnimationFrame(() => Promise.allSettled({pictures}).then(() => {scroll}))")

    def _clear(self) -> None:
        """Take away all answers."""
        self._found.set_visibility(False)
        self._together.clear()
        self._together.set_visibility(False)
        self._list.clear()
        self._answers.clear()
        self._withdraw(self._answer_files)

    def _show_together(self) -> None:
        """All masks on one picture, above the answers."""
        names = ", ".join(answer.result.expression for answer in self._answers)
        results, colours = [answer.result for answer in self._answers], [answer.colour for answer in self._answers]
        self._all_address = self._offer(lambda: overlay_of(results, self._slider.value, colours), JPEG, self._answer_files)
        with self._together:
            self._all = _picture(self._all_address, f"on one picture: {names}")
            with ui.element("div").classes("line legend"):
                for answer in self._answers:
                    with ui.element("span"):
                        _swatch(answer.colour)
                        ui.label(answer.result.expression)
        self._together.set_visibility(True)

    def _redraw(self) -> None:
        """Show all answers at the slider's threshold, from the probabilities that are there."""
        threshold = self._slider.value
        shown = [(answer.picture, answer.address) for answer in self._answers]
        if self._together.visible:
            shown.append((self._all, self._all_address))
        for picture, address in shown:
            picture.props["src"] = f"{address}?threshold={threshold}"
            picture.update()
        for answer in self._answers:
            answer.score.text = _said(answer.result, threshold)

    async def _results(self, photo: UploadedPhoto, expressions: Sequence[str]) -> AsyncIterator[ExpressionResult]:
        """Answers as they are made, until another photo takes the place of this one or the visitor leaves."""
        results = predict_upload(self._site.segmenter, photo, expressions)
        while photo is self._photo:
            async with self._site.turn:
                answer = await asyncio.to_thread(next, results, None)
            if answer is None or photo is not self._photo:
                return
            yield answer

    def _show(self, result: ExpressionResult, colour: Colour) -> None:
        threshold = self._slider.value
        with self._list, ui.element("article").classes("answer"):
            address = self._offer(lambda: result.overlay(self._slider.value, colour), JPEG, self._answer_files)
            picture = _picture(address, f"{result.expression}: drawn on the image")
            with ui.element("div").classes("line"):
                _swatch(colour)
                ui.label(result.expression).classes("expression")
                score = ui.label(_said(result, threshold)).classes("faint")
                self._link("Mask", lambda: result.mask(self._slider.value), result)
                self._link("Cutout", lambda: result.cutout(self._slider.value), result)
            if result.cut:
                ui.label(f"Cut at {self._site.segmenter.tokens} tokens; the network reads no more.").classes("faint note")
            if not result.known:
                ui.label("The network knows none of these words, so this mask means nothing.").classes("faint note")
        self._answers.append(Answer(result, colour, address, picture, score))

    def _link(self, name: str, make: Callable[[], bytes], answer: ExpressionResult) -> None:
        """A link that downloads a picture of an answer."""
        address = self._offer(make, PNG, self._answer_files)
        with ui.element("a") as link:
            ui.label(name)
        link.props.update({"href": address, "download": answer.file_name(name.lower()), "aria-label": f"{name} of {answer.expression}"})

    def _offer(self, make: Callable[[], bytes], kind: str, among: list[str]) -> str:
        among.append(self._site.downloads.put(make, kind))
        return among[-1]

    def _withdraw(self, offered: list[str]) -> None:
        self._site.downloads.remove(offered)
        offered.clear()

    def _forget(self) -> None:
        """Let go of the photo and of all that can be fetched."""
        self._photo = None
        self._answers.clear()
        for offered in (self._photo_file, self._answer_files):
            self._withdraw(offered)


def _picture(address: str, description: str) -> ui.element:
    image = ui.element("img")
    image.props.update(src=address, alt=description)
    return image


def _said(result: ExpressionResult, threshold: int) -> str:
    return "nothing found" if result.is_empty(threshold) else f"score {100 * result.score(threshold):.0f} %"


def _swatch(colour: Colour) -> None:
    ui.element("i").classes("swatch").style(f"background: {css(colour)}")
