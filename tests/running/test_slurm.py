"""A sweep on a real SLURM of two nodes, where it is installed."""

import os
import shutil
import subprocess
import sys

import pytest

from lossbench.records.record import read_all
from tests.support.commands import ROOT

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "unshare", "ip")
SWEEP = [
    sys.executable, "-m", "lossbench", "-m", "data=digits_imb", "data.max_train=200", "model.hidden=[8]", "seed=0,1",
    "trainer.max_epochs=2", "engine=packed", "tracking=none",
]  # fmt: skip
SLURM = ["cluster=slurm", "cluster.mem_gb=1.5", "cluster.cpus_per_task=1", "cluster.max_parallel=2"]


@pytest.fixture(scope="module")
def two_nodes():
    """Return what runs a command inside a cluster."""
    pytest.importorskip("submitit")
    lacking = [tool for tool in NEEDED if shutil.which(tool) is None]
    if lacking or os.getuid() != 0:
        pytest.skip(f"no SLURM to try: {', '.join(lacking) + ' not installed' if lacking else 'needs root'}")
    script = str(ROOT / "scripts" / "slurm_two_nodes.sh")
    tried = subprocess.run([script, "true"], capture_output=True, text=True, timeout=120, check=False)
    if tried.returncode:
        pytest.skip(f"no SLURM to try: it does not start here: {tried.stderr[-200:]}")
    return script


def test_a_sweep_on_two_nodes_has_the_numbers_of_this_machine(two_nodes, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    subprocess.run([*SWEEP, f"output_dir={here}"], check=True, capture_output=True, timeout=300)
    ran = subprocess.run(
        [two_nodes, *SWEEP, *SLURM, f"output_dir={there}"], capture_output=True, text=True, timeout=500, check=False
    )
    assert ran.returncode == 0, ran.stderr
    names = ("status", "metrics", "history")
    one, other = (
        {entry["key"]: [entry[name] for name in names] for _, entry in read_all(folder)} for folder in (here, there)
    )
    assert len(other) == 2 and one == other
    hosts = {entry["process"]["host"] for _, entry in read_all(there)}
    assert hosts <= {"n1", "n2"} and "2 jobs of slurm" in ran.stderr
