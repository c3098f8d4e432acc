"""Work items as jobs: lost ones are sent again, those of an earlier command waited for, and MLflow is told by one."""

import json
import shutil

import pytest
from omegaconf import OmegaConf

from lossbench.errors import ConfigError, Detached
from lossbench.records import record
from lossbench.running import jobs as cluster
from lossbench.running.jobs import LOST, run_as_jobs
from lossbench.running.plan import WorkItem
from tests.support.records import numbers

QUICK = ["data=digits_imb", "data.max_train=200", "data.max_test=100", "model.hidden=[8]", "trainer.max_epochs=2"]

pytestmark = pytest.mark.usefixtures("undrawn")


class Here:
    """A cluster in this process: a job runs when its end is asked for, unless it is one of those that get lost."""

    name, poll_seconds = "here", 0.0

    def __init__(self, *lost, before=lambda work: None):
        self.lost, self.before = set(lost), before
        self.sent, self.works, self.answers, self.cancelled = [], {}, {}, []

    def submit(self, works):
        names = [str(len(self.sent) + number) for number in range(len(works))]
        self.sent += works
        self.works |= dict(zip(names, works, strict=True))
        return names

    def ended(self, jobs):
        for job in jobs:
            if job not in self.answers and job in self.works:
                self.before(self.works[job])
                self.answers[job] = LOST if job in self.lost else self.works[job]()
        return {job: self.answers.get(job, LOST) for job in jobs}

    def cancel(self, jobs):
        self.cancelled += jobs

    def shown(self, job):
        return f"log of {job}"


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.delenv(cluster.TOLD_LATER, raising=False)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    monkeypatch.chdir(tmp_path)


def begun(cell):
    """Leave what a run leaves whose process is gone."""
    record.write(cell.path, cell.record("running") | {"process": {"host": "node7", "pid": 1, "started": 0.0}})


def test_jobs_have_the_numbers_of_this_machine(cell, tmp_path):
    cells = [cell(*QUICK, f"seed={seed}") for seed in (0, 1)]
    here = Here()
    run_as_jobs([WorkItem(cells[:1], False), WorkItem(cells[1:], False)], here, tries=1)
    alone = [cell(*QUICK, f"seed={seed}", output_dir=tmp_path / "alone") for seed in (0, 1)]
    for one, other in zip(cells, alone, strict=True):
        from lossbench.running.run import run

        run(other)
        assert numbers(one) == numbers(other)
    assert not list((tmp_path / "jobs").glob("*.json")) and len(list((tmp_path / "jobs").glob("digits_imb-*.log"))) == 2


def test_what_a_lost_job_leaves_is_sent_again_but_not_for_ever(cell, caplog):
    one, other = (cell(*QUICK, f"seed={seed}") for seed in (0, 1))
    here = Here("0", before=lambda work: begun(work.item.cells[0]) if work is here.sent[0] else None)
    run_as_jobs([WorkItem([one], False), WorkItem([other], False)], here, tries=2)
    assert [record.read(each.path)["status"] for each in (one, other)] == ["finished"] * 2
    assert [work.item.cells[0] for work in here.sent] == [one, other, one] and "sent again" in caplog.text
    third = cell(*QUICK, "seed=3")
    with pytest.raises(ConfigError, match="cross_entropy-s3: the job 1 was lost, as those before it: log of 1"):
        run_as_jobs([WorkItem([third], False)], Here("0", "1"), tries=2)


def test_a_command_that_left_is_taken_up_by_the_next(cell, tmp_path):
    cells = [cell(*QUICK, f"seed={seed}") for seed in (0, 1, 2)]
    here = Here()
    with pytest.raises(Detached, match="Sent off: 2 jobs"):
        run_as_jobs([WorkItem([each], False) for each in cells[:2]], here, tries=1, detach=True)
    notes = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "jobs").glob("*.json")}
    assert {name: note["keys"] for name, note in notes.items()} == {"0": [cells[0].key], "1": [cells[1].key]}
    here.ended = lambda jobs, ended=here.ended: ended(jobs) if len(here.sent) == 3 else {}
    run_as_jobs([WorkItem([each], False) for each in cells], here, tries=1)
    assert [work.item.cells for work in here.sent] == [[each] for each in cells]
    assert all(record.read(each.path)["status"] == "finished" for each in cells)


def test_a_job_that_is_over_unseen_is_ended_before_its_cell_is_sent_again(cell):
    made = cell(*QUICK)
    with pytest.raises(Detached):
        run_as_jobs([WorkItem([made], False)], Here(), tries=1, detach=True)
    begun(made)
    here = Here()
    run_as_jobs([WorkItem([made], False)], here, tries=1)
    assert len(here.sent) == 1 and record.read(made.path)["status"] == "finished"


def test_a_mistake_is_told_and_leaves_nothing(cell, tmp_path):
    made = cell(*QUICK)
    OmegaConf.set_struct(made.config, False)
    made.config.scheduler.nothere = 1
    made = type(made)(made.config, made.choices)
    with pytest.raises(ConfigError, match="nothere"):
        run_as_jobs([WorkItem([made], False)], Here(), tries=3)
    assert not made.path.exists() and not list((tmp_path / "jobs").glob("*.json"))


def test_a_node_that_does_not_see_the_folder_says_so(cell, tmp_path):
    here = Here(before=lambda work: shutil.rmtree(tmp_path / "jobs"))
    with pytest.raises(ConfigError, match="output_dir must lie on a disk of all nodes"):
        run_as_jobs([WorkItem([cell(*QUICK)], False)], here, tries=3)


def test_the_command_alone_tells_mlflow(cell, tmp_path, monkeypatch):
    from lossbench.tracking.store import prepare

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    made = cell(*QUICK, f"tracking.uri={uri}")
    prepare([made])
    told = []
    monkeypatch.setattr("lossbench.running.run.RunTracker._start", lambda *_: told.append("a node"))
    run_as_jobs([WorkItem([made], False)], Here(), tries=1)
    from mlflow import MlflowClient

    (run,) = MlflowClient(uri).search_runs(["1"])
    entry = record.read(made.path)
    assert not told and run.info.status == "FINISHED" and entry["mlflow_run_id"] == run.info.run_id
    assert len(MlflowClient(uri).get_metric_history(run.info.run_id, "train/loss")) == 2


def test_submitit_runs_processes_of_this_machine_in_place_of_slurm(cell, tmp_path):
    pytest.importorskip("submitit")
    from lossbench.running.on_slurm import run_items

    made = cell(*QUICK, "cluster=slurm", "cluster.executor=local")
    run_items([WorkItem([made], False)], 1, executor="local", tries=1, timeout_min=5, slurm_partition=None)
    assert record.read(made.path)["status"] == "finished"
    with pytest.raises(ConfigError, match=r"cluster=slurm: [\s\S]*nonsense"):
        run_items([WorkItem([made], False)], 1, executor="local", nonsense=5)


def test_dask_runs_what_it_is_sent(cell, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    from lossbench.running.on_dask import run_items

    made = [cell(*QUICK, f"seed={seed}", "cluster=dask") for seed in (0, 1)]
    items = [WorkItem([each], False) for each in made]
    monkeypatch.setattr("lossbench.running.on_dask.CONNECT_SECONDS", 5)
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as scheduler:
        run_items(items, 2, address=scheduler.scheduler_address)
    alone = cell(*QUICK, "seed=1", output_dir=tmp_path / "alone")
    from lossbench.running.run import run

    run(alone)
    assert numbers(made[1]) == numbers(alone) and record.read(made[0].path)["status"] == "finished"
    with pytest.raises(ConfigError, match=r"cluster.address=tcp://127\.0\.0\.1:1"):
        run_items(items, 2, address="tcp://127.0.0.1:1")
    with pytest.raises(ConfigError, match="needs one of two"):
        run_items(items, 2)
