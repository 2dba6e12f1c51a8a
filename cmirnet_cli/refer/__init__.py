"""Files on disk to `Referent`: the only room that knows annotation files.

How a REFER data set becomes referents:

    registry    which data sets, split_by names and splits are legal; the published counts
    layout      where the annotation files and the photographs lie          → Layout
    archives    the published zip files, unpacked to where layout looks
    records     one record of a file, read field by field with errors that name file, record and field; instances.json by id
    unpickle    refs(<split_by>).p, read so that a file can construct nothing
    reader      all of these joined                                         → ReferDataset
    sources     the data set that a user names; refcoco, refcoco+ and refcocog as one to train on   → ReferDataset
    referent    what comes out
    pairs       lists of what to predict, which need no data set

One's own files, of a format that is recognised from the content:

    readers     the registry: one reader a format                           → ReferDataset
    own         what readers share: options, text, splits
    own_images  where the images lie, how large they are, and which way up
    jsonl, coco, labelme, cvat, reasonseg, phrasecut, parquet               → Referent
    hub         a data set's annotation files, fetched from the Hugging Face hub
"""
