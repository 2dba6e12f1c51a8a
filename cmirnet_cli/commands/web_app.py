"""`cmirnet app`."""

from __future__ import annotations

import webbrowser
from threading import Thread
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from cmirnet_cli.commands.models import warn_if_slow
from cmirnet_cli.console import console
from cmirnet_cli.options import Device, Optimizations, Precision, Tokenizer, Weights

if TYPE_CHECKING:
    from cmirnet_cli.engine.inference import Inference
    from cmirnet_cli.engine.prediction.segmenter import Segmenter

Host: TypeAlias = Annotated[str, typer.Option("--host", metavar="NAME", help="Address to listen on; 0.0.0.0 lets the network in.")]
Port: TypeAlias = Annotated[int, typer.Option("--port", min=0, max=65535, metavar="N", help="Port to listen on; 0: any free one.")]
MaxUpload: TypeAlias = Annotated[int, typer.Option("--max-upload", min=1, metavar="MB", help="Largest image file that is accepted.")]
Opened: TypeAlias = Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")]


def open_page(
    weights: Weights,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    max_upload: MaxUpload = 20,
    opened: Opened = True,
    tokenizer: Tokenizer = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    optimizations: Optimizations = "auto",
) -> None:
    """Serve a page on this machine to drop images on and type expressions, until Ctrl-C.

    Uploads and masks stay in memory. It needs the extra [app] and no network.

    Example: cmirnet app weights/
    """
    from cmirnet_cli.web import require_nicegui

    require_nicegui()
    from cmirnet_cli.model.fast.names import optimizations_named
    from cmirnet_cli.weights.check import check_named

    chosen = optimizations_named(optimizations)
    check_named(weights, tokenizer)

    from cmirnet_cli.engine.inference import Inference
    from cmirnet_cli.web.page import Site
    from cmirnet_cli.web.server import Door, serve

    inference = Inference(precision, chosen)
    door = Door.opened(host, port)
    with door.listening:
        site = Site(_segmenter(weights, tokenizer, device, inference), weights, max_upload)
        if not door.is_private:
            console.warn("anybody in the network can reach this page; without --host only this machine can")
        console.result({"url": door.url, "weights": weights}, f"{door.url} (Ctrl-C ends it)")
        if opened:
            Thread(target=webbrowser.open, args=[door.url], daemon=True).start()  # which may take its time
        serve(site, door)


def _segmenter(weights: str, tokenizer: str | None, device: str, inference: Inference) -> Segmenter:
    from cmirnet_cli.engine.devices import pick_device
    from cmirnet_cli.engine.prediction.segmenter import Segmenter
    from cmirnet_cli.engine.threads import use_own_cores
    from cmirnet_cli.weights.source import load_weights

    use_own_cores()
    place = pick_device(device)
    warn_if_slow(inference.precision, place)
    return Segmenter(inference.prepare(load_weights(weights, tokenizer, console.notice), place), place)
