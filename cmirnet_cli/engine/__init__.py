"""The loops that drive it all.

    training     a run: loop, validation, run directory, checkpoints, resuming    → TrainingResult
    evaluation   splits scored, sentence by sentence                              → EvaluationResult
    prediction   masks of photographs, and `Segmenter`                            → Prediction

What they share:

    devices        devices, seeds and the processes of one run
    processes      which part of the work is this process's
    threads        as many as there are cores for this process
    inference      how a trained model is computed when it is not trained
    rows           batches that all have the same number of rows
    text_features  stored text features in place of the text encoder
    environment    versions, commit, processor and memory; processes that are measured
"""
