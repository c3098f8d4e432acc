"""What is asked of a cluster before anything is sent there."""

import pytest

from lossbench.compat.hydra import parse_arguments
from lossbench.config.checks import check
from lossbench.config.compose import compose_cells
from lossbench.config.engines import engine_of
from lossbench.errors import ConfigError
from lossbench.running.plan import plan


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["cluster=slrm"], "cluster=slrm: there is no such choice. Nearest: slurm"),
        (["hydra/launcher=submitit_slurm"], "for SLURM use cluster=slurm"),
        (["cluster=slurm", "engine=single"], "cluster=slurm runs the cells as jobs, engine=single in another way"),
        (["cluster=slurm", "cluster.tries=0"], "cluster.tries=0"),
        (["cluster=slurm", "cluster.executor=pbs"], "cluster.executor=pbs"),
        (["cluster=slurm", "cluster.mem_gb=much"], "cluster.mem_gb=much"),
        (["cluster=local", "cluster.tries=2"], "there is no key 'tries' in cluster=local"),
        (["cluster=dask", "cluster.address=5"], "cluster.address=5"),
    ],
)
def test_what_cannot_work_is_told(lines, said):
    with pytest.raises(ConfigError) as told:
        check(compose_cells(parse_arguments(lines)))
    assert said in str(told.value)


def test_what_is_not_installed_is_told_with_the_command(cell, monkeypatch):
    monkeypatch.setattr("lossbench.config.engines.importlib.util.find_spec", lambda name: None)
    for cluster, extra in (("slurm", "slurm"), ("dask", "dask")):
        with pytest.raises(ConfigError, match=rf"pip install '\.\[{extra}\]'"):
            engine_of([cell(f"cluster={cluster}")])


def test_a_cluster_changes_no_key_and_divides_the_stacks_among_its_places(cell):
    here, there = cell("data=digits_imb"), cell("data=digits_imb", "cluster=slurm", "+cluster.more.slurm_account=us")
    assert here.key == there.key and here.problem == there.problem
    assert engine_of([there]) == "auto"
    cells = [cell("data=digits_imb", f"seed={seed}") for seed in range(32)]
    assert len(plan(cells, "auto", places=4).items) == 4 and plan(cells, "auto", places=4).workers == 4
