"""The page: an image is dropped, expressions are typed, answers appear below."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from nicegui import events, ui

from cmirnet_cli.engine.prediction.segmenter import Segmenter
from cmirnet_cli.errors import CmirnetError, UsageError
from cmirnet_cli.web import parts
from cmirnet_cli.web.answers import ExpressionResult, UploadedPhoto, expressions_in, predict_upload
from cmirnet_cli.web.downloads import Downloads
from cmirnet_cli.web.style import ACCENT, STYLE

JPEG, PNG = "image/jpeg", "image/png"
WHY_REFUSED = "(entries) => emit(entries[0].failedPropValidation)"
"""Why the browser does not even send a file, in its words."""


@dataclass(frozen=True)
class Site:
    """What all visitors share.

    Attributes:
        segmenter: what is asked.
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


class Page:
    """One visitor's page, with the photo and the answers that it shows."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._photo: UploadedPhoto | None = None
        self._photo_file: list[str] = []
        self._answer_files: list[str] = []
        ui.add_css(STYLE)
        ui.colors(primary=ACCENT)
        parts.heading(site.weights)
        self._upload = parts.zone(site.megabytes, self._take)
        self._shown = ui.element("div")
        self._typed = parts.text()
        self._button = parts.find_button()
        self._said = ui.label().classes("said").props("role=status")
        self._answers = ui.element("div").classes("answers").props("aria-live=polite")
        self._listen()

    def _listen(self) -> None:
        self._upload.on("rejected", self._refuse, js_handler=WHY_REFUSED)
        self._upload.on("failed", lambda: self._say("The file did not arrive. Try once more."), args=[])
        self._typed.on("keydown.ctrl.enter", self._find, args=[])
        self._button.on_click(self._find)
        ui.on_exception(self._apologise)
        ui.context.client.on_delete(self._forget)

    def _say(self, message: str) -> None:
        self._said.text = message

    def _refuse(self, event: events.GenericEventArguments) -> None:
        too_large = f"The file is larger than {self._site.megabytes} MB: make it smaller, or start with a larger --max-upload."
        self._say(too_large if event.args == "max-file-size" else "The file is no image. Choose another one.")

    def _apologise(self, problem: Exception) -> None:
        self._say(f"This failed: {problem or type(problem).__name__}. The terminal says more.")

    async def _take(self, event: events.UploadEventArguments) -> None:
        """Show an image that was uploaded, in place of the one before; where it cannot be read, that one stays."""
        self._upload.reset()
        self._say("")
        try:
            photo = await asyncio.to_thread(UploadedPhoto.of_file, event.file.name, await event.file.read())
        except CmirnetError as problem:
            self._say(f"{problem.message[:1].upper()}{problem.message[1:]}. Choose another one.")
        else:
            self._show_photo(photo)

    def _show_photo(self, photo: UploadedPhoto) -> None:
        self._forget()
        self._photo = photo
        self._shown.clear()
        self._answers.clear()
        with self._shown:
            parts.photo_shown(self._offer(photo.preview, JPEG, self._photo_file), photo.name, photo.width, photo.height)
        self._typed.run_method("focus")

    async def _find(self) -> None:
        """Answer what is typed, one expression after the other."""
        if not self._button.enabled:
            return
        self._button.props("loading").disable()
        self._say("")
        try:
            photo, expressions = self._question()
            self._answers.clear()
            self._withdraw(self._answer_files)
            async for answer in self._coming(photo, expressions):
                self._show(answer)
        except UsageError as problem:
            self._say(f"{problem.message}: {problem.hint}.")
        finally:
            self._button.props(remove="loading").enable()

    def _question(self) -> tuple[UploadedPhoto, Sequence[str]]:
        if self._photo is None:
            raise UsageError("There is no image yet", hint="drop one above")
        return self._photo, expressions_in(self._typed.value)

    async def _coming(self, photo: UploadedPhoto, expressions: Sequence[str]) -> AsyncIterator[ExpressionResult]:
        """Answers as they are made, until another photo takes the place of this one or the visitor leaves."""
        made = predict_upload(self._site.segmenter, photo, expressions)
        while photo is self._photo:
            async with self._site.turn:
                answer = await asyncio.to_thread(next, made, None)
            if answer is None or photo is not self._photo:
                return
            yield answer

    def _show(self, answer: ExpressionResult) -> None:
        overlay = self._offer(lambda: answer.overlay, JPEG, self._answer_files)
        made = {"mask": lambda: answer.mask, "cutout": answer.cutout}
        files = {kind: self._offer(make, PNG, self._answer_files) for kind, make in made.items()}
        with self._answers:
            parts.card(answer, overlay, files, self._site.segmenter.tokens)

    def _offer(self, make: Callable[[], bytes], kind: str, among: list[str]) -> str:
        among.append(self._site.downloads.put(make, kind))
        return among[-1]

    def _withdraw(self, offered: list[str]) -> None:
        self._site.downloads.remove(offered)
        offered.clear()

    def _forget(self) -> None:
        """Let go of the photo and of all that can be fetched."""
        self._photo = None
        self._withdraw(self._photo_file)
        self._withdraw(self._answer_files)
