"""WEIGHTS that are an exported bundle: those are run without torch."""

from __future__ import annotations

from pathlib import Path


def exported_bundle(weights: str) -> Path | None:
    """The exported bundle that a command is given in place of weights; None for weights, which a bundle of safetensors is too.

    Raises:
        ExportError: it is a damaged bundle.
    """
    from cmirnet_cli.export.spec import holds_export, read_spec

    folder = Path(weights).expanduser()
    return folder if holds_export(folder) and read_spec(folder).format != "safetensors" else None


def weights_fingerprint(weights: str) -> str:
    """A sha256 that names weights or an exported bundle in results.

    Raises:
        WeightsError: nothing usable is there.
    """
    if bundle := exported_bundle(weights):
        from cmirnet_cli.export.spec import fingerprint as bundle_fingerprint

        return bundle_fingerprint(bundle)
    from cmirnet_cli.weights.source import fingerprint

    return fingerprint(weights)
