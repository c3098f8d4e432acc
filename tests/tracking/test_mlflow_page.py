"""A tracking server, and MLflow's own pages on a small sweep, in a real browser where there is one."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.browser import CHROMIUM, DRIVER, driven
from tests.support.commands import ended

pytestmark = pytest.mark.xdist_group("page")

INTERVAL = ["lower95/balanced_accuracy", "mean/balanced_accuracy", "upper95/balanced_accuracy"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    arguments = ["-m", "loss=cross_entropy,focal", "seed=0,1", "trainer.max_epochs=2", "engine=single"]
    result = ended(*arguments, cwd=folder)
    assert result.returncode == 0, result.stderr
    (folder / "said.txt").write_text(result.stdout)
    return folder


@pytest.fixture(scope="module")
def address(sweep) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "mlflow", "ui", "--backend-store-uri", "sqlite:///outputs/mlflow.db", "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, *command, "--workers", "1"],
        cwd=sweep,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(120):
            try:
                urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 15)
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:  # it has its own processes to wait for
            os.killpg(server.pid, 9)


@pytest.fixture(scope="module")
def links(sweep, address) -> dict[str, str]:
    """The links that the sweep printed, at the address of this test's server."""
    lines = (sweep / "said.txt").read_text().splitlines()
    pairs = [line.strip().split(": ", 1) for line in lines if "/#/" in line]
    return {shown: link.replace("http://127.0.0.1:5000", address) for shown, link in pairs}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with driven(tmp_path_factory.mktemp("profile"), "--window-size=1600,1000") as driver:
        yield driver


@pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="there is no Chromium with its chromedriver")
@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("losses, mean over seeds", ["Group: focal", "Group: cross_entropy", "final/balanced_accuracy", "focal-s1"]),
        ("losses, with 95 % intervals", ["focal, all seeds", *INTERVAL]),
        (
            "learning curves, one line for each loss",
            ["learning curves", "val/balanced_accuracy", "val/ece", "train/loss"],
        ),
        ("all runs, best first", ["cross_entropy-s0", "final/nll"]),
        ("report", ["report.html", "comparison"]),
    ],
)
def test_the_printed_links_show_the_losses(links, browser, shown, expected):
    browser.get("about:blank")  # else only the part behind # changes, and the page of the link before stays
    browser.get(links[shown])
    for _ in range(240):  # half seconds, as a busy machine may need
        html = browser.page_source
        missing = [text for text in expected if text not in html]
        if not missing:
            break
        time.sleep(0.5)
    assert not missing, f"not on the page {links[shown]}"
    assert shown[:15] != "learning curves" or "test/recall/0" not in html  # one of a hundred others, folded
    places = [html.index(f">{name}<") for name in INTERVAL if f">{name}<" in html]
    assert places == sorted(places)  # low, mean, high


def test_a_tracking_server_takes_runs_as_a_database_does(lossbench, address, tmp_path):
    from mlflow import MlflowClient

    result = lossbench("loss=focal", "trainer.max_epochs=1", f"tracking.uri={address}", "data=digits_noisy")
    assert result.returncode == 0, result.stderr
    assert address in result.stdout and "could not" not in result.stderr
    client = MlflowClient(address)
    (run,) = client.search_runs([client.get_experiment_by_name("digits_noisy").experiment_id])
    assert run.info.status == "FINISHED" and run.data.params["loss.gamma"] == "2.0"
    assert "final/balanced_accuracy" in run.data.metrics
    assert "record.json" in {file.path for file in client.list_artifacts(run.info.run_id)}
    assert not (tmp_path / "outputs" / "mlflow.db").exists()
