"""Work items as tasks of a Dask cluster: one that runs, or one that dask-jobqueue starts on PBS, LSF or SGE."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.utils import instantiate

from lossbench.errors import ConfigError, first_line
from lossbench.ranges import takes
from lossbench.running.jobs import LOST, Answer, Work, run_as_jobs
from lossbench.running.plan import WorkItem

CONNECT_SECONDS = 30


@takes(
    address="text or null",
    made_by="dict or null",
    max_parallel="int [1, inf)",
    tries="int [1, inf)",
)
def run_items(
    items: Sequence[WorkItem],
    workers: int,
    *,
    address: str | None = None,
    made_by: Mapping[str, Any] | None = None,
    max_parallel: int = 16,
    tries: int = 3,
) -> None:
    """Run work items as tasks of a Dask cluster; see `run_as_jobs` for what it raises.

    Parameters
    ----------
    items : sequence of WorkItem
        What is to be run: a task for each.
    workers : int
        The workers that are asked for where a cluster is made: at most `max_parallel`.
    address : str, optional
        Of a scheduler, such as "tcp://login1:8786".
    made_by : mapping, optional
        What makes a cluster instead: `{_target_: dask_jobqueue.PBSCluster, cores: 4, memory: 8GB}`.
    max_parallel : int from 1
        The most workers that are asked for.
    tries : int from 1
        How often what a lost task has left undone is sent off.

    """
    if (address is None) == (made_by is None):
        raise ConfigError(
            "cluster=dask needs one of two: cluster.address=tcp://HOST:8786 of a scheduler, or cluster.made_by="
            "'{_target_: dask_jobqueue.PBSCluster, ...}', which starts one."
        )
    with _client(address, made_by, min(workers, max_parallel)) as client:
        run_as_jobs(items, Dask(client), tries)


@contextmanager
def _client(address: str | None, made_by: Mapping[str, Any] | None, workers: int) -> Iterator[Any]:
    """Connect to a cluster; one that is made here ends with the command."""
    from distributed import Client

    try:
        cluster = None if made_by is None else instantiate(made_by)
        if cluster is not None:
            cluster.scale(jobs=workers) if hasattr(cluster, "job_cls") else cluster.scale(workers)
        client = Client(address if cluster is None else cluster, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:
        said = f"cluster.address={address}" if made_by is None else f"cluster.made_by={dict(made_by)}"
        raise ConfigError(f"{said}: {first_line(error)}") from error
    try:
        yield client
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


class Dask:
    """A Dask cluster; see `lossbench.running.jobs.Jobs`. Its tasks end with the command that sent them."""

    name = "dask"
    poll_seconds = 1.0

    def __init__(self, client: Any) -> None:
        self._client = client
        self._numbers = itertools.count()
        self._futures: dict[str, Any] = {}

    def submit(self, works: Sequence[Work]) -> list[str]:
        """Send off work; return the names of the tasks."""
        names = [f"{work.title}-{next(self._numbers)}" for work in works]
        for name, work in zip(names, works, strict=True):
            self._futures[name] = self._client.submit(work, key=f"lossbench-{name}", pure=False, retries=0)
        return names

    def ended(self, jobs: Sequence[str]) -> dict[str, Answer]:
        """Return the answers of those tasks that are over; none has survived an earlier command."""
        own = {job: self._futures.get(job) for job in jobs}
        return {job: self._answer(future) for job, future in own.items() if future is None or future.done()}

    def _answer(self, future: Any) -> Answer:
        if future is None or future.status in ("cancelled", "lost"):
            return LOST
        if future.status == "error":
            error = future.exception()
            return LOST if type(error).__name__ == "KilledWorker" else ("failed", first_line(error))
        kind, told = future.result()
        return kind, told

    def cancel(self, jobs: Sequence[str]) -> None:
        """End tasks that have not begun; one that runs goes on to its end."""
        self._client.cancel([self._futures[job] for job in jobs if job in self._futures])

    def shown(self, job: str) -> str:
        """Say where what a task printed is to be found."""
        return f"{job}: the log of the worker"
