"""Weights to exchange formats, the proof that they agree, and exported models run without torch.

    folder         an export with all that belongs to it, which appears only when it is proved
    graph          the model, or its text and vision apart, as programs and as ONNX files
    quantization   an ONNX file in fp16, or in int8 after calibration
    verification   the export, read back, beside freshly loaded weights                → parity.json, or an error
    readme         how to run the export, for its README
    scoring        an export in the place of weights, for `eval`

Running an ONNX export needs these alone, none of which imports torch:

    spec           export.json
    preprocessing  pixels and sentences as the graph takes them, and its logits at the size of a photo
    runtime        the export behind ONNX Runtime
"""
