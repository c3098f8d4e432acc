"""Work items as a job array of SLURM, through submitit."""

import subprocess
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from lossbench.errors import ConfigError
from lossbench.ranges import takes
from lossbench.running.jobs import FOLDER, LOST, Answer, Work, run_as_jobs
from lossbench.running.plan import WorkItem


@takes(
    executor="one of: slurm, local",
    max_parallel="int [1, inf)",
    tries="int [1, inf)",
    detach="bool",
    timeout_min="int [1, inf)",
    mem_gb="number (0, inf)",
    cpus_per_task="int [1, inf)",
    gpus_per_node="int [0, inf)",
    slurm_partition="text or null",
    more="dict",
)
def run_items(
    items: Sequence[WorkItem],
    workers: int,
    *,
    executor: str = "slurm",
    tries: int = 3,
    detach: bool = False,
    max_parallel: int = 16,
    more: Mapping[str, Any] = MappingProxyType({}),
    **parameters: Any,
) -> None:
    """Run work items as jobs of an array, `workers` at a time; see `run_as_jobs` for what it raises.

    Parameters
    ----------
    items : sequence of WorkItem
        What is to be run: a job for each.
    workers : int
        The jobs at a time: at most `max_parallel`.
    executor : str
        "slurm"; "local" for processes of this machine, to try what a cluster would do.
    tries : int from 1
        How often what a lost job has left undone is sent off.
    detach : bool
        Leave when all is sent off.
    max_parallel : int from 1
        The most jobs at a time.
    more : mapping
        Parameters of `submitit.AutoExecutor.update_parameters`, by its names.
    **parameters
        Those of them that have a key of their own.

    """
    folder = Path(items[0].cells[0].config.output_dir) / FOLDER
    given = {name: value for name, value in {**parameters, **more}.items() if value is not None}
    run_as_jobs(items, Slurm(folder, executor, min(workers, max_parallel), given), tries, detach)


class Slurm:
    """SLURM, or processes of this machine in its place; see `lossbench.running.jobs.Jobs`."""

    def __init__(self, folder: Path, executor: str, parallel: int, parameters: dict[str, Any]) -> None:
        self.name = executor
        self.poll_seconds = 5.0 if executor == "slurm" else 0.5
        self._jobs: dict[str, Any] = {}
        self._folder, self._parallel, self._parameters = folder.absolute(), parallel, parameters

    @cached_property
    def _executor(self) -> Any:
        import submitit

        try:
            executor = submitit.AutoExecutor(folder=self._folder, cluster=self.name)
            executor.update_parameters(
                name="lossbench", slurm_array_parallelism=self._parallel, tasks_per_node=1, **self._parameters
            )
        except Exception as error:  # submitit's own: a NameError for a parameter, a RuntimeError without sbatch
            raise ConfigError(f"cluster=slurm: {error}") from error
        return executor

    def submit(self, works: Sequence[Work]) -> list[str]:
        """Send off work as one array; return the numbers of the jobs."""
        from submitit.core.utils import FailedJobError

        try:
            with self._executor.batch():
                jobs = [self._executor.submit(work) for work in works]
            self._jobs |= {str(job.job_id): job for job in jobs}
            return [str(job.job_id) for job in jobs]
        except (FailedJobError, OSError) as error:
            raise ConfigError(f"cluster=slurm: SLURM does not take the jobs: {error}") from error

    def ended(self, jobs: Sequence[str]) -> dict[str, Answer]:
        """Return the answers of those jobs that are over.

        SLURM is asked by `squeue`, which knows without a database of accounts what is at work.
        """
        alive = self._alive(jobs)
        return {job: self._answer(job) for job in jobs if job not in alive}

    def _alive(self, jobs: Sequence[str]) -> set[str]:
        if self.name != "slurm":
            return {job for job in jobs if psutil.pid_exists(int(job)) and not self._job(job).done()}
        arrays = ",".join(sorted({job.partition("_")[0] for job in jobs}))
        command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={arrays}"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode and "Invalid job id" not in found.stderr:
            return set(jobs)  # it does not answer: nothing is known
        return set(found.stdout.split())

    def _job(self, job: str) -> Any:
        """Return the job of a number, which an earlier command may have sent off."""
        import submitit

        if job not in self._jobs:
            kind = submitit.SlurmJob if self.name == "slurm" else submitit.LocalJob
            self._jobs[job] = kind(folder=self._folder, job_id=job)
        return self._jobs[job]

    def _answer(self, job: str) -> Answer:
        """Return what a job returned: "failed" with what it raised, lost if it ended without a word."""
        of = self._job(job)
        if not of.paths.result_pickle.exists():
            return LOST
        try:
            kind, told = of.result()
        except Exception as error:
            return "failed", str(error)
        return kind, told

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        for job in jobs:
            self._job(job).cancel(check=False)

    def shown(self, job: str) -> str:
        """Say where what a job printed is to be found."""
        return str(self._job(job).paths.stderr)
