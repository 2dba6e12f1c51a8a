"""The README.md of an export: what it is, and how to run it without this program."""

from __future__ import annotations

import json

from cmirnet_cli.export.runtime import EXACT_INT8
from cmirnet_cli.export.spec import MODEL, TEXT, VISION, ExportSpec
from cmirnet_cli.export.verification import Parity

_TEMPLATE = """# {backbone} as {format}, {precision}

Referring image segmentation: an image and a sentence go in, the mask of what the sentence refers to comes out. Exported from
`{weights}` (sha256 {digest}…) by cmirnet {program}.

Compared with freshly loaded fp32 weights, {count} times over {distinct} samples ({samples}): {equal:.3%} of the masks' pixels are equal,
the mean IoU of the masks is {iou:.4f}, and logits differ by at most {error:.2g} of their standard deviation. `parity.json` has the details.

## Input and output

| name | what |
|---|---|
| `image` | float32 (B, 3, {sides}): RGB, resized to {size} × {size} (PIL's bilinear filter, aspect not kept), normalised as said below |
| `input_ids` | int64 (B, {tokens}): ids with special tokens, cut to {tokens}, padded with {pad} |
| `attention_mask` | int64 (B, {tokens}): 1 on real tokens, else 0 |
| `logits` | float32 (B, 2, {sides}): the referent is where class 1 wins; enlarge them bilinearly to the image's size before comparing |

Pixels are divided by 255, minus the mean {mean}, divided by the standard deviation {std}.
`export.json` says all of this to programs; `sample.npz` holds an input with the logits of the weights.

## Use

{use}
"""

_COMMANDS = """    cmirnet predict EXPORT photo.jpg -e "the red cup"
    cmirnet eval EXPORT --cache CACHE
"""

_PYTHON = """```python
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps
from tokenizers import Tokenizer

spec = json.load(open("export.json"))["input"]
picture = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")
small = picture.resize((spec["image_size"],) * 2, Image.Resampling.BILINEAR)
image = (np.asarray(small, np.float32) / 255 - np.float32(spec["mean"])) / np.float32(spec["std"])
found = Tokenizer.from_file("tokenizer.json").encode("the red cup").ids[: spec["tokens"]]
ids = np.array([found + [spec["pad"]] * (spec["tokens"] - len(found))])
mask = (np.arange(spec["tokens"]) < len(found)).astype(np.int64)[None]
options = onnxruntime.SessionOptions()
{options}{run}
referent = logits[0, 1] > logits[0, 0]
```
"""

_INT8 = f"""options.add_session_config_entry("{EXACT_INT8}", "1")  # else sums saturate on processors without VNNI
"""

_WHOLE = """session = onnxruntime.InferenceSession("{MODEL}", options)
inputs = {{"image": image.transpose(2, 0, 1)[None], "input_ids": ids, "attention_mask": mask}}
(logits,) = session.run(None, inputs)"""

_SPLIT = """(words,) = onnxruntime.InferenceSession("{TEXT}", options).run(None, {{"input_ids": ids, "attention_mask": mask}})
inputs = {{"image": image.transpose(2, 0, 1)[None], "words": words, "attention_mask": mask}}
(logits,) = onnxruntime.InferenceSession("{VISION}", options).run(None, inputs)"""

_PROGRAM = """```python
import torch

module = torch.export.load("model.pt2").module()  # called with image, input_ids, attention_mask
```
"""

_FOLDER = "This is a weights folder: every command takes it as WEIGHTS.\n"


def readme(spec: ExportSpec, parity: Parity) -> str:
    """Its text."""
    given, origin = spec.input, spec.origin
    return _TEMPLATE.format(
        **{"backbone": origin.backbone, "format": spec.format, "precision": spec.precision, "weights": origin.weights},
        **{"digest": origin.sha256[:12], "program": origin.program, "samples": parity.samples},
        **{"count": parity.comparisons, "distinct": parity.distinct, "equal": parity.equal_pixels, "iou": parity.mean_iou},
        **{"error": parity.logits_error, "size": given.image_size, "tokens": given.tokens, "pad": given.pad},
        **{"sides": "H, W" if spec.dynamic_size else f"{given.image_size}, {given.image_size}"},
        **{"mean": json.dumps(given.mean), "std": json.dumps(given.std), "use": _use(spec)},
    )


def _use(spec: ExportSpec) -> str:
    if spec.format == "onnx":
        run = (_SPLIT if spec.split else _WHOLE).format(MODEL=MODEL, TEXT=TEXT, VISION=VISION)
        return f"{_COMMANDS}\n{_PYTHON.format(options=_INT8 if spec.precision == 'int8' else '', run=run)}"
    return _PROGRAM if spec.format == "torch" else _FOLDER
