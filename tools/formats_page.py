"""The table of annotation formats that `prepare-data` reads, from the registry of readers."""

from __future__ import annotations

from cmirnet_cli.refer.readers import JSONL_LINE, READERS

_HEAD = """# Annotation formats

    cmirnet prepare-data annotations.json
    cmirnet prepare-data export/ --text category

`prepare-data` takes a file or a folder, recognises the format from the content, and says which it is. `--format NAME` overrides that.
[Bring your own data](your-data.md) shows the next steps. `make reference` writes this page from the code.

| format | `--format` | give | expressions come from |
|---|---|---|---|
"""
_FOOT = f"""
The published data sets are in REFER layout. They are given by name: `cmirnet prepare-data refcoco` ([Data](data.md)).

- **Splits** come from the files: from folders called `train`, `valid`, `val` or `test`, from CVAT's subsets, or from a field `split`. If
  the files name no splits, the images are divided: `--val-share 0.1` makes a tenth of the images `val`, the same ones in every run.
- **Photographs** are next to the annotations or in a folder `images` there. `--images DIR` names another place. They are turned upright,
  unless the annotated size shows that the outlines were drawn on the stored picture. `--upright` and `--no-upright` decide this for all
  of them.
- **Objects without a text or an outline** are left out, and a notice counts them. A box is not a mask.
- **Records that cannot be read** are an error that lists the first twenty. `--skip-bad` leaves them out.
- **Parquet with pictures** has the columns `image`, `mask` (or `segmentation`, `polygons`, `rle`) and `expression` (or `caption`, and
  so on). A picture is a struct of bytes and path, bytes, or a path. A row may have several expressions; if it has as many masks, each
  expression has its own. The pictures are unpacked into a folder `pictures` beside the file, or into `--images DIR`.
- **On the hub**: `hf://datasets/ORGANISATION/NAME` downloads the annotation files of a data set on the Hugging Face hub and reads them.

Convert any other format to JSONL, one line per expression:

```json
{JSONL_LINE}
```
"""


def formats_page() -> str:
    """docs/formats.md."""
    rows = [f"| {reader.title} | `{reader.key}` | {reader.gives} | {reader.text} |\n" for reader in READERS]
    return _HEAD + "".join(rows) + _FOOT
