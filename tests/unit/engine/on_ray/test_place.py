"""Actors are placed on what a cluster has; what cannot work is refused before Ray is loaded."""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from cmirnet_cli.engine.on_ray.cluster import Actors, RayOptions, check_ray, place
from cmirnet_cli.errors import CmirnetError, UsageError

LAPTOP, SERVER, GPUS = {"CPU": 8.0}, {"CPU": 64.0, "memory": 1e12}, {"CPU": 32.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("machines", "options", "expected"),
    [
        ([LAPTOP], RayOptions(), Actors(2, 4)),
        ([{"CPU": 2.0}], RayOptions(), Actors(1, 2)),
        ([{}, SERVER, SERVER], RayOptions(), Actors(32, 4)),  # the head of a cluster may work for nobody
        ([{"CPU": 2.0}, {"CPU": 5.0}], RayOptions(), Actors(3, 2)),
        ([LAPTOP], RayOptions(actors=1), Actors(1, 8)),
        ([LAPTOP], RayOptions(actors=3), Actors(3, 2)),
        ([{"CPU": 4.0}, {"CPU": 6.0}], RayOptions(actors=3), Actors(3, 3)),
        ([GPUS, GPUS], RayOptions(), Actors(8, 1, gpu=True)),
        ([GPUS, SERVER], RayOptions(actors=3, device="cuda"), Actors(3, 1, gpu=True)),
        ([GPUS], RayOptions(device="cpu"), Actors(8, 4)),
    ],
)
def test_an_actor_has_a_gpu_or_a_few_cores(machines, options, expected):
    assert place(options, machines) == expected


def test_actors_share_the_cores_of_machines_and_fit_on_them():
    for count in range(1, 11):
        found = place(RayOptions(actors=count), [{"CPU": 4.0}, {"CPU": 6.0}])
        fits, more = (sum(cores // each for cores in (4, 6)) for each in (found.cores, found.cores + 1))
        assert fits >= count > more


@pytest.mark.parametrize(
    ("machines", "options", "said"),
    [
        ([LAPTOP], RayOptions(actors=9), "--actors 9 do not fit on the machines of the Ray cluster (1 with 8 cores and 0 GPUs)"),
        ([GPUS], RayOptions(actors=5), "--actors 5 with a GPU and a core each do not fit"),
        ([LAPTOP], RayOptions(device="cuda"), "an actor with a GPU and a core does not fit"),
        ([{}], RayOptions(), "an actor does not fit"),
        ([], RayOptions(), "an actor does not fit on the machines of the Ray cluster (0 with 0 cores and 0 GPUs)"),
    ],
)
def test_actors_that_do_not_fit_are_refused_in_place_of_waiting_forever(machines, options, said):
    with pytest.raises(UsageError) as refused:
        place(options, machines)
    assert said in str(refused.value)
    assert "--actors" in str(refused.value.hint)


def test_a_cluster_that_does_not_answer_is_named_at_once():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(CmirnetError) as refused:
            check_ray(RayOptions(address))
    assert f"the Ray cluster at {address} cannot be reached" in str(refused.value)
    assert refused.value.exit_code == 1


def test_another_server_at_the_address_is_told_from_ray_at_once():
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(CmirnetError, match="what answers there is not Ray"):
            check_ray(RayOptions(f"127.0.0.1:{server.server_port}"))
        server.shutdown()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (RayOptions("ray://head:10001"), "ray://head:10001 is an address of Ray Client, which is not supported"),
        (RayOptions("http://head:8265"), "http://head:8265 is not an address of a Ray cluster"),
        (RayOptions("head"), "'head' is not an address of a Ray cluster"),
        (RayOptions("head:many"), "'head:many' is not an address of a Ray cluster"),
        (RayOptions("127.0.0.1:99999"), "'127.0.0.1:99999' is not an address of a Ray cluster"),
        (RayOptions(device="cuda:1"), "--device cuda:1 names a device of this machine"),
        (RayOptions(device="mps"), "--device mps names a device of this machine"),
    ],
)
def test_addresses_and_devices_of_other_kinds_are_refused(options, said):
    with pytest.raises(UsageError) as refused:
        check_ray(options)
    assert said in str(refused.value)


def test_ray_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError) as refused:
        check_ray(RayOptions())
    assert refused.value.hint == "pip install 'cmirnet[ray]'"
