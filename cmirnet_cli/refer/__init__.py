"""Files on disk to `Referent`: the only room that knows annotation files.

How a REFER data set becomes referents:

    registry    which data sets, split_by names and splits are legal; the published counts
    layout      where the annotation files and the photographs lie          → Layout
    archives    the published zip files, unpacked to where layout looks
    unpickle    refs(<split_by>).p, read so that a file can construct nothing
    instances   instances.json, indexed by id
    images      the file a photograph lies in
    reader      all of these joined                                         → ReferDataset
    jsonl       one's own data, one line a sentence                         → ReferDataset
    combined    refcoco, refcoco+ and refcocog as one to train on           → ReferDataset
    sources     the data set that a user names, be it published, their own or a JSONL   → ReferDataset
    health      which data sets are there, for the doctor
    masks       the outlines of a referent as pixels
    records     one record of a file, read field by field with errors that name file, record and field
    referent    what comes out
    pairs       lists of what to predict, which need no data set
    scenes      drawn data sets in genuine REFER layout, for the demo and for tests
"""
