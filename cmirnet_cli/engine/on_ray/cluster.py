"""Reaching a Ray cluster, or starting one on this machine for as long as the command runs, and placing actors on it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten

import psutil

from cmirnet_cli.engine.threads import usable_cores
from cmirnet_cli.errors import CmirnetError, UsageError

LOCAL = "local"
"""The address that has Ray start a cluster on this machine."""
CORES = 4
"""Cores of an actor without a GPU, unless `--actors` leaves more: more threads speed up one image little."""
CONNECTS_WITHIN = 5.0
"""Seconds in which a cluster must answer."""
STORE = 128 << 20
"""Bytes of the object store of a cluster on this machine. Pieces and reports are small."""
ENDS_WITHIN = 10.0
"""Seconds in which the processes of a cluster on this machine must end by themselves, once Ray has asked them to."""
STARTS = 3
"""How often starting a cluster on this machine is tried: on a busy machine, Ray's processes may miss Ray's own time limits."""

_SETTINGS = b"\x04"
"""The type of the frame that both ends of HTTP/2 send first; gRPC, and so Ray, speaks it. The length comes before it, in three bytes."""
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + _SETTINGS + bytes(5)

_FEWER = "give fewer --actors, or add machines; ray status shows what the cluster has"


@dataclass(frozen=True)
class RayOptions:
    """Where to work and with how many processes.

    Attributes:
        address: of a running cluster, `host:port` or `auto`; None: the one that RAY_ADDRESS names, or a new one on this machine.
        actors: processes that hold the model; None: as many as there are GPUs, or as there is room for with a few cores each.
        device: auto, cpu or cuda.
    """

    address: str | None = None
    actors: int | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Actors:
    """How many actors, and what each of them has."""

    count: int
    cores: int
    gpu: bool = False

    @property
    def device(self) -> str:
        """Where each of them computes; Ray shows it no GPU but its own."""
        return "cuda" if self.gpu else "cpu"


def check_ray(options: RayOptions) -> None:
    """Refuse what cannot work, as far as can be checked without Ray itself.

    Raises:
        UsageError: Ray is not installed, or the address or the device is of a kind that does not work.
        CmirnetError: nothing answers at the address.
    """
    if find_spec("ray") is None or find_spec("pandas") is None:
        raise UsageError("--engine ray requires Ray Data, which is not installed", hint="pip install 'cmirnet[ray]'")
    if options.device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"--device {options.device} names a device of this machine", hint="with --engine ray, give auto, cpu or cuda: one GPU per actor"
        )
    address = _address(options)
    if address.startswith(("http://", "https://")):
        hint = "that is the dashboard's; give the address that ray start printed, usually with port 6379, or auto"
        raise UsageError(f"{address} is not an address of a Ray cluster", hint=hint)
    if "://" in address:
        hint = "run the command on a machine of the cluster with --ray-address auto, or submit it: ray job submit -- cmirnet predict …"
        raise UsageError(f"{address} is an address of Ray Client, which is not supported", hint=hint)
    if address not in ("auto", LOCAL):
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 1 << 16):
            raise UsageError(f"{address!r} is not an address of a Ray cluster", hint="write HOST:PORT, such as head-node:6379, or auto")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), CONNECTS_WITHIN) as connection:
                connection.sendall(_HELLO)
                answered = connection.recv(4)
        except OSError as error:
            raise _unreachable(address, str(error)) from error
        if answered[3:] != _SETTINGS and not os.environ.get("RAY_USE_TLS"):
            raise _unreachable(address, "what answers there is not Ray")


@contextmanager
def connected(options: RayOptions) -> Iterator[None]:
    """Connect to the cluster. One that was started for this is stopped at the end; any other goes on.

    Ray prints nothing: stdout is for results. Its logs are in its folder, `/tmp/ray` by default.

    Raises:
        CmirnetError: the cluster does not answer, has another version of Ray or Python, or cannot be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # or a thread of Ray that outlives the end may start another cluster
    import ray

    address = _address(options)
    others, started = set(psutil.Process().children()), set[psutil.Process]()
    own = {"num_cpus": usable_cores(), "object_store_memory": STORE, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            for left in reversed(range(STARTS if address == LOCAL else 1)):
                try:
                    with _sigterm_waits(), _silent_stderr():
                        ray.init(address, log_to_driver=False, logging_level="CRITICAL", **(own if address == LOCAL else {}))
                    break
                except Exception as error:
                    ray.shutdown()
                    if not left:
                        raise _unreachable(address, shorten(str(error), 300)) from error
            started = set(psutil.Process().children()) - others
            yield
        finally:
            cluster = _with_all_below(started)
            ray.shutdown()
            for process in psutil.wait_procs(cluster, ENDS_WITHIN)[1]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def _with_all_below(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """These, and the processes that they started: Ray's server starts the actors, and does not wait for their end."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found += [process, *process.children(recursive=True)]
    return found


@contextmanager
def _sigterm_waits() -> Iterator[None]:
    """SIGTERM takes effect after the block. Ray's own handlers, which may lose it while Ray starts, are not installed."""
    if threading.current_thread() is not threading.main_thread():  # another thread has no handlers
        yield
        return
    from ray._private import utils

    set_handler, received = utils.set_sigterm_handler, list[int]()
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = set_handler
        signal.signal(signal.SIGTERM, before)
    if received:
        signal.raise_signal(signal.SIGTERM)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Ray's compiled part prints nothing to the terminal while it starts, and afterwards only its own crashes."""
    kept, nowhere, level = os.dup(2), os.open(os.devnull, os.O_WRONLY), os.environ.get("RAY_BACKEND_LOG_LEVEL")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
        if level is None:
            del os.environ["RAY_BACKEND_LOG_LEVEL"]


def place(options: RayOptions, machines: Sequence[Mapping[str, float]]) -> Actors:
    """Decide how many actors there are, and what each has.

    Args:
        options: what the user wants.
        machines: the `CPU`s and `GPU`s of each machine of the cluster.

    Raises:
        UsageError: the cluster does not have that.
    """
    cores, gpus = ([int(machine.get(kind, 0)) for machine in machines] for kind in ("CPU", "GPU"))
    has = f"{len(machines)} with {sum(cores)} cores and {sum(gpus)} GPUs"
    if options.device == "cuda" or (options.device == "auto" and any(gpus)):
        room = sum(map(min, cores, gpus))
        if not room or (options.actors or 0) > room:
            wanted = f"--actors {options.actors} with a GPU and a core each do" if options.actors else "an actor with a GPU and a core does"
            raise UsageError(f"{wanted} not fit on the machines of the Ray cluster ({has})", hint=_FEWER)
        return Actors(options.actors or room, 1, gpu=True)
    if not any(cores) or (options.actors or 0) > sum(cores):
        wanted = f"--actors {options.actors} do" if options.actors else "an actor does"
        raise UsageError(f"{wanted} not fit on the machines of the Ray cluster ({has}): each takes a core or more", hint=_FEWER)
    each = min(CORES, *(count for count in cores if count)) if len(machines) > 1 else min(CORES, max(cores))
    if options.actors is None:
        return Actors(sum(count // each for count in cores), each)
    return Actors(options.actors, max(size for size in range(1, max(cores) + 1) if sum(count // size for count in cores) >= options.actors))


def _address(options: RayOptions) -> str:
    return options.address or os.environ.get("RAY_ADDRESS") or LOCAL


def _unreachable(address: str, why: str) -> CmirnetError:
    if address == LOCAL:
        return CmirnetError(f"Ray could not be started on this machine: {why}", hint="its logs are in /tmp/ray/session_latest/logs")
    hint = "give the address that ray start printed, usually with port 6379; both sides need the same Ray and Python"
    return CmirnetError(f"the Ray cluster at {address} cannot be reached: {why}", hint=hint)
