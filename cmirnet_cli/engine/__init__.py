"""The loops that drive it all.

    training     a run: loop, validation, run directory, checkpoints, resuming
    evaluation   a split scored, sentence by sentence                       → SplitScores
    prediction   masks of photographs, and `Segmenter`                      → Prediction
    health       what `doctor` finds out about libraries, machine and runs

What they share:

    devices        devices, seeds and the processes of one run
    shards         which part of the work is this process's
    inference      how a trained model is computed when it is only asked
    text_features  stored text features in place of the text encoder
    environment    versions and commit, for the records
    machine        processor and memory; processes that are measured
"""
