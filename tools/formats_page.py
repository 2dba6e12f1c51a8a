"""The table of annotation formats that `prepare-data` reads, from the registry of readers."""

from __future__ import annotations

from cmirnet_cli.refer.readers import JSONL_LINE, READERS

_HEAD = """# Annotation formats

    cmirnet prepare-data annotations.json
    cmirnet prepare-data export/ --text category

`prepare-data` takes a file or a folder, recognises its format from the content, and says which it is. `--format NAME` overrides that.
This page is made from the code by `make reference`.

| format | `--format` | give | expressions come from |
|---|---|---|---|
"""
_FOOT = f"""
The published data sets are in REFER layout. They are given by name: `cmirnet prepare-data refcoco` ([Data](data.md)).

- **Splits** come from the files: from folders called `train`, `valid`, `val` or `test`, from CVAT's subsets, or from a field `split`. Files
  that name none are divided by image: `--val-share 0.1` makes a tenth of the images `val`, the same ones in every run.
- **Photographs** lie beside the annotations or in a folder `images` there; `--images DIR` names another place. They are taken upright,
  unless the annotated size shows that the outlines were drawn on the stored picture.
  `--upright` and `--no-upright` decide it for all of them.
- **What has no text or no outline** is left out, and counted in a notice. A box is no mask.
- **What cannot be read** is an error that lists the first twenty records. `--skip-bad` leaves them out.
- **Parquet with pictures** has the columns `image`, `mask` (or `segmentation`, `polygons`, `rle`) and `expression` (or `caption`, and
  so on). A picture is a struct of bytes and path, bytes, or a path. A row may have several expressions: with as many masks, each
  has its own. The pictures are unpacked into a folder `pictures` beside the file, or into `--images DIR`.
- **On the hub**: `hf://datasets/ORGANISATION/NAME` fetches the annotation files of a data set on the Hugging Face hub and reads the copy.

Any other format can be turned into JSONL, one line an expression:

```json
{JSONL_LINE}
```
"""


def formats_page() -> str:
    """docs/formats.md."""
    rows = [f"| {reader.title} | `{reader.key}` | {reader.gives} | {reader.text} |\n" for reader in READERS]
    return _HEAD + "".join(rows) + _FOOT
