"""All that is to be measured on a GPU, in one run of at most eight minutes that can be resumed.

python -m tools.measure.gpu gpu.json
python -m tools.measure.gpu gpu.json --table   # what was measured, as Markdown

Each step is a process of its own. Its result is written as soon as it is there; a step that has one is not measured again, and a step
that failed is. A step begins only while there is time for it.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import typer
from accelerate import init_empty_weights

from cmirnet_cli.benchmarks.stand_ins import drawn_cache, random_recipe
from cmirnet_cli.benchmarks.timing import gflops_of, matrix_product_gflops
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import ModelConfig
from cmirnet_cli.console import console
from cmirnet_cli.engine.devices import pick_device, published_precision
from cmirnet_cli.engine.environment import machine
from cmirnet_cli.engine.training.loop import Trainer
from cmirnet_cli.engine.training.start import starting_bundle
from cmirnet_cli.files import write_text
from cmirnet_cli.model.build import build_network
from cmirnet_cli.scenes import Amount
from cmirnet_cli.weights.official import convert_official

FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"
GOLDEN = ("swin-b-224", "resnet50-224")
"""Cases with numbers of the official code."""
FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Step:
    """One measurement: a command that prints JSON, or only succeeds, and the seconds that it needs on a fast GPU at most."""

    name: str
    command: tuple[str, ...]
    seconds: int


def steps(device: str, *, tiny: bool) -> list[Step]:
    """All measurements, the most important first; `tiny` is for trying the program where there is no GPU."""
    python, cmirnet = (sys.executable, "-m"), (sys.executable, "-m", "cmirnet_cli", "--json")
    where, small = ("--device", device), ("--backbone", "resnet-nano", "--size", "64")
    own = (*python, "tools.measure.gpu")
    backbones = ["resnet-nano"] if tiny else ["swin-b", "resnet101"]
    found = [Step("parity", (*own, "unused", "--parity", *where), 60)] if not tiny else []
    for backbone in backbones:
        network = small if tiny else ("--backbone", backbone)
        compiled = () if tiny else ("--compile",)
        for batch in (2,) if tiny else (1, 8, 32):
            amount = ("--count", str(max(2, batch)), "--batch-size", str(batch), "--rounds", "1" if tiny else "3")
            command = (*cmirnet, "benchmark", "infer", *network, *amount, *compiled, *where)
            found.append(Step(f"infer {backbone}, batch {batch}", command, 60))
        train = ("--batch-size", "2" if tiny else "8", "--steps", "2" if tiny else "8")
        found.append(Step(f"train {backbone}", (*cmirnet, "benchmark", "train", *network, *train, *where), 90))
        found.append(Step(f"arithmetic {backbone}", (*own, "unused", "--arithmetic", *network, *where), 30))
    tests = ("tests/unit/metrics/test_counts.py", "tests/unit/engine/test_devices.py")
    return [*found, Step("tests", (*python, "pytest", "-p", "no:cacheprovider", "-m", "not slow", *tests), 60)]


def main(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where results are kept, as JSON.")],
    device: Annotated[str, typer.Option("--device", help="What is measured.")] = "cuda",
    budget: Annotated[int, typer.Option("--budget", min=1, help="Seconds that all steps of this run may take.")] = 480,
    tiny: Annotated[bool, typer.Option("--tiny", help="Small sizes, to try the program.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Print what was measured as Markdown.")] = False,
    parity: Annotated[bool, typer.Option("--parity", help="One step: compare with the official numbers.")] = False,
    arithmetic: Annotated[bool, typer.Option("--arithmetic", help="One step: count a training step's operations.")] = False,
    backbone: Annotated[str, typer.Option("--backbone", help="Of that step.")] = "swin-b",
    size: Annotated[int | None, typer.Option("--size", help="Of that step, in pixels.")] = None,
) -> None:
    """Measure what is missing, or print what there is."""
    if parity:
        print(json.dumps(parity_on(pick_device(device))))  # noqa: T201
    elif arithmetic:
        print(json.dumps(arithmetic_of(backbone, size, device)))  # noqa: T201
    elif table:
        print(as_table(json.loads(out.read_text())))  # noqa: T201
    else:
        measure(out, steps(device, tiny=tiny), budget)


def measure(out: Path, wanted: list[Step], budget: int) -> None:
    """Run the steps that have no result yet, while there is time."""
    results: dict[str, Any] = json.loads(out.read_text()) if out.is_file() else {"machine": machine(), "steps": {}}
    end = time.monotonic() + budget
    for step in wanted:
        done = results["steps"].get(step.name, {})
        if done.get("ok"):
            continue
        if time.monotonic() + step.seconds > end:
            console.warn(f"no time left for {step.name}: run the same command again")
            continue
        started = time.monotonic()
        ended = subprocess.run(step.command, capture_output=True, text=True, check=False)
        results["steps"][step.name] = {
            "command": " ".join(("python", *step.command[1:])),
            "ok": ended.returncode == 0,
            "seconds": time.monotonic() - started,
            "result": _json(ended.stdout) if ended.returncode == 0 else ended.stderr[-2000:],
        }
        write_text(out, json.dumps(results, indent=1))
        console.notice(f"{step.name}: {'done' if ended.returncode == 0 else 'failed'} in {time.monotonic() - started:.0f} s")


def parity_on(device: torch.device) -> dict[str, dict[str, dict[str, float]]]:
    """Official case → number format → how far the finest head is: of fp32 (without TF32) from the official logits, of all in masks."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    recipe = runpy.run_path(str(FIXTURES / "recipe.py"))
    return {case: {name: _parity(recipe, case, dtype, device) for name, dtype in FORMATS.items()} for case in GOLDEN}


@torch.inference_mode()
def _parity(recipe: Mapping[str, Any], case: str, dtype: torch.dtype, device: torch.device) -> dict[str, float]:
    golden, (backbone, size) = np.load(FIXTURES / f"{case}.npz"), case.rsplit("-", 1)
    shapes = json.loads((FIXTURES / f"{case}.shapes.json").read_text())
    with init_empty_weights():
        network = build_network(ModelConfig.model_validate({"backbone": backbone}))
    network.load_state_dict(convert_official(_official(recipe, shapes)), assign=True)
    network.to(device).eval()
    image, words, keep, sentence = (torch.from_numpy(array).to(device) for array in recipe["golden_inputs"](int(size), 2))
    with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
        logits = network(image, words.transpose(1, 2), keep.bool(), sentence).main.float().cpu()
    expected = golden["logits.out"]
    mask = np.unpackbits(golden["mask.out"])[: logits[:, 0].numel()]
    return {
        "logits_error_in_std": float(np.abs(logits[:, :, ::8, ::8].numpy() - expected).max() / expected.std()),
        "equal_pixels": float((logits.argmax(1).numpy().reshape(-1) == mask).mean()),
    }


def _official(recipe: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> dict[str, torch.Tensor]:
    """An official state dict of the recipe's weights; a ResNet's backbone is in it twice."""
    twins = {"conv1": "layer1.0", "bn1": "layer1.1", "layer1": "layer2.1", "layer2": "layer3", "layer3": "layer4", "layer4": "layer5"}
    state = {}
    for name, shape in shapes.items():
        module, _, rest = name.removeprefix("backbone.").partition(".")
        named = f"{twins[module]}.{rest}" if name.startswith("backbone.") else name
        recomputed = name.endswith("relative_position_index")
        value = np.zeros(shape, np.int64) if recomputed else np.asarray(recipe["golden_tensor"](named, shape))
        state[name] = torch.from_numpy(value)
    return state


def arithmetic_of(backbone: str, size: int | None, device: str) -> dict[str, Any]:
    """10⁹ operations of a training step of 8 in the published format, and what a large matrix product reaches."""
    place, batch = pick_device(device), 8
    settings = random_recipe(backbone, size, batch, **{"loop.precision": published_precision(place)})
    with TemporaryDirectory(prefix="cmirnet-measure-") as folder:
        cache = drawn_cache(Path(folder), settings.data.image_size, {"train": Amount(batch, batch, batch), "val": Amount(1, 1, 1)})
        data = Cache.open(cache.folder)
        trainer = Trainer(starting_bundle(settings, data), settings, data, place)
        gflops = gflops_of(lambda: next(trainer.steps()))
    return {"gflops_per_step": gflops, "matrix_product_gflops_per_second": dict(matrix_product_gflops(place))}


def as_table(results: Mapping[str, Any]) -> str:
    """What was measured, as Markdown tables for docs/benchmarks.md; steps that failed or are missing are named."""
    done = {name: each["result"] for name, each in results["steps"].items() if each["ok"]}
    lines = ["| network, batch | way | expressions/s | × plain | same pixels | peak MiB |", "|---|---|---|---|---|---|"]
    inferred = {name.removeprefix("infer "): found for name, found in done.items() if name.startswith("infer ")}
    lines += [_row(label, way, each) for label, found in inferred.items() for way, each in found["ways"].items()]
    lines += ["", "| network | way | ms a sentence | × plain | peak MiB |", "|---|---|---|---|---|"]
    trained = {name.removeprefix("train "): found for name, found in done.items() if name.startswith("train ")}
    lines += [_train_row(label, way, each) for label, found in trained.items() for way, each in found["ways"].items()]
    failed = [name for name, each in results["steps"].items() if not each["ok"]]
    return "\n".join([*lines, *(["", f"Failed: {', '.join(failed)}"] if failed else [])])


def _row(label: str, way: str, found: Mapping[str, Any]) -> str:
    faster, same = found["times_faster_than_plain"]["median"], found["agreement"]["pixels"]
    return f"| {label} | {way} | {found['expressions_per_second']:.1f} | {faster:.2f} | {same:.3%} | {found['peak_memory_mib']:,.0f} |"


def _train_row(label: str, way: str, found: Mapping[str, Any]) -> str:
    took, faster = found["ms_per_sentence"]["median"], found["times_faster_than_plain"]
    return f"| {label} | {way} | {took:,.0f} | {faster:.2f} | {found['peak_memory_mib']:,.0f} |"


def _json(text: str) -> Any:
    """The result of a step: its JSON, or the last line that it printed."""
    try:
        return json.loads(text)
    except ValueError:
        return text.strip().splitlines()[-1:]


if __name__ == "__main__":
    typer.run(main)
