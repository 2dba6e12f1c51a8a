"""Weights to exchange formats, the proof that they agree, and exported models run without torch.

    samples      an image with a sentence about it, and how many of them are used for what
    parts        the model as one graph, or as two                          weights → Part
    program      a part as a `torch.export` program
    graph        a program as an ONNX file of the standard operators alone
    precision    an ONNX file in fp16, or in int8 after calibration
    bundle       the folder with all that belongs to it                     → export.json, graphs, tokenizer, sample, README
    parity       what the folder computes beside freshly loaded weights     → parity.json, or an error

Running an ONNX bundle needs these alone, none of which imports torch:

    spec         export.json
    preparing    pixels and sentences as the graph takes them
    enlarging    logits at the size of a photo
    exported     the bundle behind ONNX Runtime
"""
