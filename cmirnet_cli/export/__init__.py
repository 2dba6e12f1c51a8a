"""Weights to exchange formats, the proof that they agree, and exported models run without torch.

    samples        an image with a sentence about it, and how many of them are used for what
    parts          the model as one graph, or as two                          weights → Part
    program        a part as a `torch.export` program
    graph          a program as an ONNX file of the standard operators alone
    calibration    typical inputs, from which int8 takes the ranges of activations
    quantization   an ONNX file in fp16, or in int8 after calibration
    formats        a model in one of the exchange formats
    readme         how to run the folder, for its README
    export         the folder with all that belongs to it                     → export.json, graphs, tokenizer, sample, README
    verification   the folder, read back, beside freshly loaded weights
    parity         how far the two differ                                     → parity.json, or an error
    scoring        an exported model in place of weights, for `eval`

Running an ONNX export needs these alone, none of which imports torch:

    spec           export.json
    preprocessing  pixels and sentences as the graph takes them
    upsampling     logits at the size of a photo
    runtime        the export behind ONNX Runtime
"""
