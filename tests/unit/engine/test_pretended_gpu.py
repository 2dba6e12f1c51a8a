"""Training, evaluation and prediction on a GPU that is only pretended: no tensor stays on the CPU, and number formats are as published.

PyTorch's fake tensors run every operator on shapes, devices and number formats, and compute nothing. They refuse an operator whose tensors
lie on different devices, so code that passes leaves nothing on the CPU. What a program reads back from the device is not known here:
numbers are 1 and arrays are zeros.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves

from cmirnet_cli.batches.datasets import EvaluationSet
from cmirnet_cli.cache.features import TextFeatures
from cmirnet_cli.cache.reader import Cache
from cmirnet_cli.config import Settings
from cmirnet_cli.engine.evaluation.loop import Evaluator, score_samples
from cmirnet_cli.engine.inference import Inference
from cmirnet_cli.engine.prediction.segmenter import Segmenter
from cmirnet_cli.engine.text_features import TextReader
from cmirnet_cli.engine.training.loop import Trainer
from cmirnet_cli.engine.training.start import starting_bundle
from cmirnet_cli.metrics.scores import PROTOCOLS
from cmirnet_cli.model.fast.names import COMPILE, OPTIMIZATIONS, PACKED

GPU = torch.device("cuda:0")


class PretendedGpu(FakeTensorMode):
    """The mode, and what ran in it: `ran` holds (operator, device, number format) of every output."""

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self.ran: set[tuple[str, torch.device, torch.dtype]] = set()

    @property
    def avoid_device_init(self) -> bool:
        """Never ask a real device, whatever `torch.cuda` says."""
        return True

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator on shapes."""
        if func is torch.ops.aten._local_scalar_dense.default:
            return False if args[0].dtype is torch.bool else 1.0 if args[0].dtype.is_floating_point else 1
        result = super().dispatch(func, types, args, kwargs or {})
        self.ran |= {(func.overloadpacket.__name__, leaf.device, leaf.dtype) for leaf in tree_leaves(result) if isinstance(leaf, Tensor)}
        return result

    @property
    def on_the_cpu(self) -> set[str]:
        """The operators that gave a tensor there."""
        return {name for name, device, _ in self.ran if device.type == "cpu"}

    def formats(self, *operators: str) -> set[torch.dtype]:
        """The number formats that these operators gave on the GPU."""
        return {dtype for name, device, dtype in self.ran if name in operators and device == GPU}


@contextmanager
def pretended_gpu() -> Iterator[PretendedGpu]:
    """Within, `cuda:0` can be computed on, though there is none."""
    mode = PretendedGpu()
    with ExitStack() as stack:
        for name, value in {
            "torch.cuda.is_available": lambda: True,
            "torch.cuda.device_count": lambda: 1,
            "torch.cuda.current_device": lambda: 0,
            "torch.cuda.set_device": lambda device: None,
            "torch.cuda.is_bf16_supported": lambda *_, **__: True,
            "torch.cuda.max_memory_allocated": lambda device=None: 0,
            "torch.cuda.get_device_capability": lambda device=None: (9, 0),
            "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
            "accelerate.state.PartialState.default_device": GPU,
            "torch.from_numpy": lambda array, real=torch.from_numpy: mode.from_tensor(real(array)),
            "torch.nn.Module.to": moved,
            "torch.Tensor.pin_memory": lambda tensor: tensor,
            "torch.Tensor.backward": backward,
            "torch.Tensor.numpy": lambda tensor, **_: np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch.")),
        }.items():
            stack.enter_context(patch(name, value))
        yield stack.enter_context(mode)


def moved(module: nn.Module, device: torch.device) -> nn.Module:
    """`module.to(device)`; a real parameter cannot become a pretended one in place, so modules get new ones."""
    for part in module.modules():
        for kept in (part._parameters, part._buffers):
            for name, value in kept.items():
                if value is not None and value.device != device:
                    pretended = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=device)
                    is_parameter = kept is part._parameters
                    kept[name] = nn.Parameter(pretended, requires_grad=value.requires_grad) if is_parameter else pretended
    return module


def backward(loss: Tensor) -> None:
    """`loss.backward()`, one node of the graph after the other: torch's own engine asks the device for its streams."""
    gradients: dict[Any, dict[int, Tensor]] = defaultdict(dict)
    gradients[loss.grad_fn][0] = torch.ones_like(loss)
    for node in _in_order(loss.grad_fn):
        own = gradients.pop(node, None)
        if own is None:
            continue
        if hasattr(node, "variable"):
            node.variable.grad = own[0] if node.variable.grad is None else node.variable.grad + own[0]
            continue
        results = node(*(own.get(place) for place in range(len(node._input_metadata))))
        for (following, place), gradient in zip(node.next_functions, results if isinstance(results, tuple) else (results,), strict=True):
            if following is None or gradient is None:
                continue
            expected = following._input_metadata[place]
            fitting = gradient.sum_to_size(expected.shape).to(expected.dtype)
            assert fitting.device == expected.device
            gradients[following][place] = fitting + gradients[following][place] if place in gradients[following] else fitting


def _in_order(root: Any) -> list[Any]:
    """The nodes of a graph, each before those that it leads to."""
    finished: list[Any] = []
    reached, open_nodes = set(), [(root, False)]
    while open_nodes:
        node, done = open_nodes.pop()
        if done:
            finished.append(node)
        elif node not in reached:
            reached.add(node)
            open_nodes += [(node, True), *((following, False) for following, _ in node.next_functions if following is not None)]
    return finished[::-1]


TRAINED = {"auto": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
"""`loop.precision` → the number format of the network's convolutions on a GPU."""

CONVOLUTIONS = {"convolution", "convolution_backward", "conv1d", "conv2d"}
PRODUCTS = {*CONVOLUTIONS, "mm", "addmm", "bmm", "baddbmm", "linear", "matmul", "scaled_dot_product_attention"}
"""What must not run on the CPU; tokens are laid out there, and constants."""

OPTIMIZED = tuple(name for name in OPTIMIZATIONS if name not in (COMPILE, PACKED))


def slow(*values: object) -> Any:
    """A case that the quick suite leaves out."""
    return pytest.param(*values, marks=pytest.mark.slow)


def settings(backbone: str, **loop: object) -> Settings:
    return Settings.model_validate(
        {
            "model": {"backbone": backbone, "fusion_width": 64, "text_width": 24},
            "text": {"source": "scratch", "scratch_layers": 3},
            "data": {"image_size": 64, "resize": 72, "workers": 0},
            "loop": {"batch_size": 2, "backbone_weights": "none", **loop},
        }
    )


@pytest.mark.parametrize(
    ("backbone", "precision"),
    [("resnet-nano", "auto"), *(slow("resnet-nano", precision) for precision in ("bf16", "fp32")), slow("swin-nano", "auto")],
)
def test_training_step_leaves_nothing_on_the_cpu_and_computes_in_its_format(small_cache: Cache, backbone: str, precision: str):
    chosen = settings(backbone, precision=precision)
    bundle = starting_bundle(chosen, small_cache)
    with pretended_gpu() as gpu:
        bundle.model.to(GPU)  # now, for the optimiser must see the parameters that are there to stay
        trainer = Trainer(bundle, chosen, small_cache, GPU)
        next(trainer.steps())
    assert gpu.formats(*CONVOLUTIONS) == {TRAINED[precision]}
    assert not gpu.on_the_cpu & PRODUCTS
    trained = [parameter for parameter in bundle.model.parameters() if parameter.requires_grad]
    moments = trainer.stepper.state()["optimizer"]["state"]
    assert len(moments) == len(trained)
    assert {(value.device, value.dtype) for each in moments.values() for value in each.values()} == {(GPU, torch.float32)}
    assert (trainer.accelerator.scaler is not None) == (precision == "auto")


def test_text_encoder_stays_in_fp32_within_mixed_precision(small_cache: Cache):
    bundle = starting_bundle(settings("resnet-nano"), small_cache)
    with pretended_gpu() as gpu, torch.autocast("cuda", torch.float16):
        bundle.model.to(GPU)
        ids, keep = torch.zeros(2, 20, dtype=torch.int64, device=GPU), torch.ones(2, 20, dtype=torch.bool, device=GPU)
        assert bundle.model.encode_text(ids, keep).dtype == torch.float32
        assert gpu.formats(*PRODUCTS) == {torch.float32}


WAYS = {
    "as published": Inference(optimizations=()),
    "optimized": Inference(optimizations=OPTIMIZED),
    "bf16": Inference("bf16", ()),
    "bf16, optimized": Inference("bf16", OPTIMIZED),
}


def test_training_step_and_evaluation_with_stored_text_features_leave_nothing_on_the_cpu(cache: Cache):
    chosen = Settings.model_validate(settings("resnet-nano").model_dump() | {"text": {"source": "scratch", "train": "none"}})
    bundle = starting_bundle(chosen, cache)
    reader = TextReader(bundle.model.text, bundle.tokenizer, 20)
    stored = reader.read(cache.distinct_sentences(), torch.device("cpu"), 5)
    features = TextFeatures.write(cache, reader.spec("the test", "fp16"), stored)
    with pretended_gpu() as gpu:
        bundle.model.to(GPU)
        trainer = Trainer(bundle, chosen, cache, GPU, features)
        next(trainer.steps())
        evaluator = Evaluator(bundle.model, bundle.tokenizer, 20, GPU, batch_size=3, features=features)
        scores = score_samples(evaluator, EvaluationSet(cache, "val", 64), ["paper"])
    assert len(scores) == 7
    assert not gpu.on_the_cpu & PRODUCTS
    assert "embedding" not in {name for name, _, _ in gpu.ran}  # the text encoder did not run


@pytest.mark.parametrize(
    ("backbone", "way"),
    [("resnet-nano", "optimized"), slow("swin-nano", "optimized"), *(slow("resnet-nano", way) for way in WAYS if way != "optimized")],
)
def test_evaluation_leaves_nothing_on_the_cpu(small_cache: Cache, backbone: str, way: str):
    bundle = starting_bundle(settings(backbone), small_cache)
    with pretended_gpu() as gpu:
        ready = WAYS[way].prepare(bundle, GPU)
        evaluator = Evaluator(ready.model, ready.tokenizer, 20, GPU, batch_size=3, keep_masks=True)
        scores = score_samples(evaluator, EvaluationSet(small_cache, "val", 64), PROTOCOLS)
    assert {score.rle["size"][0] for score in scores} == {93, 94}  # read back, at the images' own sizes
    assert torch.bfloat16 in gpu.formats(*CONVOLUTIONS) if "bf16" in way else gpu.formats(*CONVOLUTIONS) == {torch.float32}
    assert not gpu.on_the_cpu & PRODUCTS


@pytest.mark.parametrize(
    ("backbone", "way", "photos_at_once"),
    [slow("swin-nano", "as published", 2), slow("swin-nano", "bf16, optimized", 2), ("resnet-nano", "bf16", 1)],
)
def test_prediction_leaves_nothing_on_the_cpu(small_cache: Cache, backbone: str, way: str, photos_at_once: int):
    bundle = starting_bundle(settings(backbone), small_cache)
    photos = [np.zeros((50, 70, 3), np.uint8), np.zeros((40, 30, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)]
    with pretended_gpu() as gpu:
        segmenter = Segmenter(WAYS[way].prepare(bundle, GPU), GPU, photos_at_once=photos_at_once)
        predictions = segmenter.predict(photos, ["thing on the left", "thing on the right", "thing"])
    assert [[one.mask.shape for one in each] for each in predictions] == [[(50, 70)] * 3, [(40, 30)] * 3, [(64, 64)] * 3]
    assert not gpu.on_the_cpu & PRODUCTS


def test_tensor_left_on_the_cpu_is_an_error_here(small_cache: Cache):
    bundle = starting_bundle(settings("swin-nano"), small_cache)
    with pretended_gpu() as gpu:
        bundle.model.to(GPU)
        bundle.model.network.heads[-1].register_forward_hook(lambda module, inputs, result: result + gpu.from_tensor(torch.ones(1)))
        with pytest.raises(RuntimeError, match="device"):
            Segmenter(bundle, GPU).predict(np.zeros((64, 64, 3), np.uint8), "thing")
