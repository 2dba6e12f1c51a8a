"""`Referent` to HDF5 to `Sample`: data sets prepared once, read by every run.

What is written, and what makes two caches the same:

    schema           options, fingerprint and manifest; the files of a cache folder
    annotations      `annotations.h5`: referents, sentences, masks, images  → Table
    stores           `images-….h5`: pixels at the network's size, or the files' bytes
    hdf5             files that are the same bytes whenever they are written, and open handles

Writing:

    prepare          a data set read, checked and written: `cmirnet.prepare` → PreparedCache
    check_images     images that cannot be cached, before anything is written
    drawing          the masks of all referents, each drawn once            → DrawnMasks
    audit            what is odd about these masks
    fingerprint      which cache it will be                                 → Fingerprint
    estimate         how large it will be
    writer           the files of a cache, started or continued             → Manifest
    staging          the folder beside it in which it grows
    workers          work that threads or processes share

Reading:

    folder           which folder is a complete cache, which one a command means, and what to do about any other
    counts           what the splits hold, beside the published counts      → SplitCounts
    reader           an open cache, one sentence of it, and `verify`        → Cache, Sample

What a text encoder makes of the sentences:

    features         writes and reads them; `engine.text_features` computes them → TextFeatures
"""
