"""How a cache loads and trains from a network disk: every call to its server waits, and nothing on it can be locked.

Requires Linux and a C compiler.

python -m tools.measure.slow_disk --delay 0 --delay 1000 --delay 5000
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from cmirnet_cli.benchmarks.stand_ins import DATASET, SPLIT_BY, drawn_cache
from cmirnet_cli.console import console
from cmirnet_cli.engine.environment import machine, machine_in_words
from cmirnet_cli.files import sha256_of
from cmirnet_cli.scenes import Amount

SHIM = Path(__file__).with_suffix(".c")
SIZE = 96
"""Of the preset `smoke`, in pixels."""
DELAYS = [0, 1_000, 5_000]

_LOAD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from cmirnet_cli.config import resolve
from tools.measure.scale import load
settings = resolve(flags={"data.image_size": int(sys.argv[2]), "data.resize": int(sys.argv[2]), "data.workers": int(sys.argv[3])})
print(json.dumps(asdict(load(Path(sys.argv[1]), settings, shuffled=True))))
"""


def main(
    delays: Annotated[list[int], typer.Option("--delay", min=0, metavar="US", help="Microseconds that every call waits.")] = DELAYS,
    images: Annotated[int, typer.Option("--images", min=64, metavar="N", help="Of the drawn data set, each with a referent.")] = 640,
) -> None:
    """Load every sample once without workers and with two, and train some steps, all on a disk that was made slow."""
    with TemporaryDirectory(prefix="cmirnet-measure-") as place:
        folder = Path(place)
        shim, slow = folder / "slow_disk.so", folder / "disk"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, SHIM, "-ldl"], check=True)
        amounts = {"train": Amount(images, images, images), "val": Amount(1, 1, 1)}
        cache = drawn_cache(slow, SIZE, amounts).folder.rename(slow / f"{DATASET}-{SPLIT_BY}")
        rows, found = [], []
        for delay in delays:
            around = {**os.environ, "LD_PRELOAD": str(shim), "SLOW_DISK": str(slow), "SLOW_DISK_US": str(delay)}
            passes = [_json([sys.executable, "-c", _LOAD, str(cache), str(SIZE), str(workers)], around) for workers in (0, 2)]
            waited, digest = _train(cache, slow / f"run-{delay}", around)
            rows.append([f"{delay:,}", *(f"{each['samples_per_second']:,.0f}" for each in passes), f"{waited:.0%}", digest[:12]])
            found.append({"delay_us": delay, "loading": passes, "data_wait": waited, "weights_sha256": digest})
    columns = ["µs a call", "samples/s", "with 2 workers", "wait for data in training", "weights"]
    console.result({"images": images, "found": found, "machine": machine()}, console.table("slow disk", columns, rows), machine_in_words())


def _train(cache: Path, run: Path, around: dict[str, str]) -> tuple[float, str]:
    """The share of the time that training waited for data, and the digest of its weights."""
    data = f"--dataset {DATASET} --split-by {SPLIT_BY} --cache {cache.parent}"
    words = f"train --preset smoke {data} --epochs 1 --device cpu --run-dir {run} --json"
    _json([sys.executable, "-m", "cmirnet_cli", *words.split()], around)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line["data_wait"] for line in lines if "data_wait" in line]
    return sum(steps) / len(steps), sha256_of(run / "weights/last/model.safetensors")


def _json(command: list[str], around: dict[str, str]) -> Any:
    return json.loads(subprocess.run(command, env=around, check=True, stdout=subprocess.PIPE, text=True).stdout)


if __name__ == "__main__":
    typer.run(main)
