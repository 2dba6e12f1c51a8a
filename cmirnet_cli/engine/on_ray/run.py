"""Runs all pieces of a job on a Ray cluster. Each is done once, whichever processes die."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from cmirnet_cli import __version__
from cmirnet_cli.engine.on_ray.actor import PROGRESS_EVERY, Actor, Board, Done, GivenUp, Raised, Returned, Work, listed
from cmirnet_cli.engine.on_ray.cluster import ENDS_WITHIN, Actors, RayOptions, connected, place
from cmirnet_cli.errors import CmirnetError

Piece = TypeVar("Piece")
Report = TypeVar("Report")
Ended = TypeVar("Ended")

ATTEMPTS = 5
"""How often the process may die on one piece before the piece is given up. Where machines come and go, not every death is its fault."""
MOST_GIVEN_UP = 20
"""After so many given-up pieces, the whole run ends."""
IN_FLIGHT = 2
"""Pieces that an actor has: the one that it works on, and the next."""
AHEAD = 64
"""Unfinished pieces that may be listed, or eight for each actor if that is more: they take memory on the command's machine."""
_THREADS = ("StreamingExecutor", "iter_threaded")
"""How the names of Ray Data's threads begin: those that schedule work and fetch rows."""
STARTS_WITHIN = 600
"""Seconds within which the cluster must have room for all actors; others may be using it."""


def run_on_ray(
    pieces: Callable[[], Generator[Piece, None, Ended]],
    work: Work[Piece, Report],
    options: RayOptions,
    take: Callable[[Report], object],
    advance: Callable[[int], object],
    begin: Callable[[], object] = lambda: None,
) -> Ended:
    """Do all pieces; returns what `pieces` returned. Meanwhile, what is printed to stdout is lost.

    Args:
        pieces: lists them lazily, always the same ones. It can be pickled, and runs in its own process on this machine.
        work: the work on each.
        options: where, and with how many actors.
        take: called with the report of each piece as it comes, in any order.
        advance: called with how many more images are done, from another thread.
        begin: called once, when the cluster is connected and the actors fit on it.

    Raises:
        UsageError: the actors do not fit on the cluster.
        CmirnetError: what listing or work raises, at once; the cluster failed; or pieces were given up, after all others were done.
    """
    with connected(options):
        import ray

        actors = place(options, [node["Resources"] for node in ray.nodes() if node["Alive"]])
        begin()
        board = _begin_board(max(AHEAD, 8 * actors.count))
        returned: Any = None
        given_up: list[str] = []
        with _progress(board, advance) as finished, _threads_end(), closing(_messages(pieces, work, board, actors)) as messages:
            try:
                for message in messages:
                    if isinstance(message, Raised):
                        raise message.error
                    if isinstance(message, Returned):
                        returned = message.value
                    elif isinstance(message, Done):
                        take(message.report)
                        finished(message.number, message.images)
                    elif isinstance(message, GivenUp):
                        given_up.append(message.described)
                        finished(message.number, 0)
                        if len(given_up) == MOST_GIVEN_UP:
                            break
            except ray.exceptions.GetTimeoutError as error:
                hint = "see with ray status what uses the cluster, or give fewer --actors"
                raise CmirnetError(f"the Ray cluster had no room for {actors.count} actors within {STARTS_WITHIN} s", hint=hint) from error
            except ray.exceptions.RayError as error:
                raise in_our_words(error) from error
    if given_up:
        raise CmirnetError(
            f"no result for {', '.join(given_up)}: the process died {ATTEMPTS} times there",
            hint="an image may need more memory than there is: leave it out, or give fewer --actors; --skip-existing tries these again",
        )
    return cast("Ended", returned)


def _begin_board(ahead: int) -> Any:
    """A board on this machine, so that it is not lost with another machine."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(Board).options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here).remote(ahead)


def _messages(
    pieces: Callable[[], Generator[Any, None, object]], work: Work[Any, Any], board: Any, actors: Actors
) -> Generator[object, None, None]:
    """Ray Data's pipeline: one process lists pieces, actors work on them, and each piece is one row."""
    import pyarrow as pa
    import ray.data

    folder = str(Path.cwd())

    class Pieces(ray.data.Datasource):  # type: ignore[misc]
        """All pieces, in one task that makes a block of each as it is taken."""

        supports_distributed_reads = False  # list on this machine, whose memory holds the waiting pieces

        def estimate_inmemory_data_size(self) -> None:
            """Unknown."""

        def get_read_tasks(self, *_: object, **__: object) -> list[Any]:
            """One."""
            unknown = ray.data.block.BlockMetadata(None, None, None, None)
            return [ray.data.ReadTask(lambda: (pa.table({"row": [row]}) for row in listed(pieces, board, folder)), unknown)]

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = context.target_min_block_size = 1  # a block for each piece, or all would wait for the last one
    context.wait_for_min_actors_s = STARTS_WITHIN
    made = {"work": work, "board": board, "device": actors.device, "folder": folder, "attempts": ATTEMPTS, "version": __version__}
    pool = ray.data.ActorPoolStrategy(size=actors.count, max_tasks_in_flight_per_actor=IN_FLIGHT)
    rows = ray.data.read_datasource(Pieces(), override_num_blocks=1, num_cpus=0).map_batches(
        Actor, fn_constructor_kwargs=made, batch_size=1, compute=pool, num_cpus=actors.cores, num_gpus=int(actors.gpu)
    )
    for row in rows.iter_rows():
        yield pickle.loads(row["row"])


@contextmanager
def _threads_end() -> Iterator[None]:
    """Wait for Ray Data's threads at the end. Ray itself hardly does, and a thread that finds the connection closed ends the process."""
    try:
        yield
    finally:
        for thread in threading.enumerate():
            if thread.name.startswith(_THREADS):
                thread.join(ENDS_WITHIN)


@contextmanager
def _progress(board: Any, advance: Callable[[int], object]) -> Iterator[Callable[[int, int], None]]:
    """Poll the board for the actors' progress while the block waits for pieces; it calls what this yields for each that is done."""
    import ray

    lock, ended = threading.Lock(), threading.Event()
    done: list[int] = []
    pieces = images = shown = 0

    def add(number: int, more: int) -> None:
        nonlocal pieces, images
        with lock:
            done.append(number)
            pieces, images = pieces + 1, images + more

    def show(unfinished: Callable[[list[int], int], int]) -> None:
        nonlocal shown
        with lock:
            numbers, in_all, now = done.copy(), pieces, images
            done.clear()
        now += unfinished(numbers, in_all)
        if now > shown:  # a piece that is done again may count fewer for a while
            advance(now - shown)
            shown = now

    def ask() -> None:
        while not ended.wait(PROGRESS_EVERY):
            try:
                show(lambda numbers, pieces: ray.get(board.forget.remote(numbers, pieces)))
            except Exception:  # the cluster is gone: the block raises the reason
                return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield add
    finally:
        ended.set()
        asking.join()
        show(lambda numbers, pieces: 0)


def in_our_words(error: Exception) -> CmirnetError:
    """An error of Ray during the work, as one of this program."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    if any(line.startswith(("ModuleNotFoundError", "ImportError", "AttributeError")) for line in lines):
        hint = "every machine of the cluster needs the same cmirnet, with the same extras"
        return CmirnetError(f"a machine of the Ray cluster cannot load the program: {lines[-1]}", hint=hint)
    hint = "Ray's logs, by default in /tmp/ray/session_latest/logs, say more; --skip-existing resumes the run"
    return CmirnetError(f"the Ray cluster failed: {lines[-1] if lines else type(error).__name__}", hint=hint)
