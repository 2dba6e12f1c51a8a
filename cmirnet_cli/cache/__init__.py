"""`Referent` to HDF5 to `Sample`: data sets prepared once, read by every run.

What is written, and what makes two caches the same:

    schema           options, fingerprint and manifest; the files of a cache folder
    fingerprint      a data set and the user's choices                      → Fingerprint
    annotations      `annotations.h5`: referents, sentences, masks, images  → Table
    ragged           pieces of different lengths as one flat array
    stores           `images-….h5`: pixels at the network's size, or the files' bytes
    picture          image files as RGB pixels
    pixels           images and masks at the network's size

Writing:

    survey           images that cannot be cached, before anything is written
    writer           the cache folder, begun or gone on with                → Manifest
    staging          the folder beside it in which it grows
    hdf5             files that are the same bytes whenever they are written, and open handles
    pool             threads that read images, in order

Reading:

    find             which prepared cache a command means
    folder           whether a folder is a complete cache
    reader           an open cache, and `verify`                            → Cache
    sample           one sentence with its image and mask                   → Sample
    health           what the doctor says of caches
    remedies         command lines for hints

What a text encoder makes of the sentences:

    features         what text features are and where they lie              → FeaturesManifest
    features_writer  writes them; another room computes them
    features_reader  reads them                                             → TextFeatures
"""
