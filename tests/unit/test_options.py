"""Options that several commands share: what they accept."""

import pytest
import typer
from typer.testing import CliRunner

from cmirnet_cli.options import Device

app = typer.Typer()


@app.command()
def show(device: Device = "auto") -> None:
    typer.echo(device)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:11", "mps"])
def test_devices_are_accepted_as_torch_writes_them(device):
    assert CliRunner().invoke(app, ["--device", device]).output == f"{device}\n"


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:a", "CPU", ""])
def test_other_devices_are_refused_with_the_legal_ones(device):
    refused = CliRunner().invoke(app, ["--device", device], env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    assert "expected auto, cpu, cuda, cuda:N or mps" in refused.output
