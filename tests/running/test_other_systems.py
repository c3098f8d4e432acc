"""What differs on Windows and macOS, simulated: none of it was run there."""

import _thread
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossbench.cli import command
from lossbench.config import engines
from lossbench.records import files, record
from lossbench.running import job, workers
from lossbench.running.plan import WorkItem
from tests.support.commands import ROOT


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")


def test_a_run_ends_in_a_worker_that_is_not_forked(cell, monkeypatch):
    monkeypatch.setattr(workers, "START", "spawn")
    one = cell("data=digits_imb", "trainer.max_epochs=1")
    workers.run_items([WorkItem([one], stacked=False)], 1)
    assert record.read(one.path)["status"] == "finished"


@pytest.mark.parametrize(("system", "start"), [("linux", "forkserver"), ("darwin", "spawn"), ("win32", "spawn")])
def test_workers_are_forked_where_that_is_safe(system, start):
    text = (ROOT / "lossbench" / "running" / "workers.py").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("START = ")]
    found: dict = {"sys": SimpleNamespace(platform=system)}
    exec(line, found)
    assert found["START"] == start


def test_without_a_fork_there_is_no_server_of_forks(monkeypatch):
    monkeypatch.setattr(workers, "START", "spawn")
    monkeypatch.setattr(workers.multiprocessing, "set_forkserver_preload", lambda names: pytest.fail("asked for"))
    workers.start_forkserver()


def test_a_worker_of_windows_is_sent_no_signal(monkeypatch, windows):
    """os.kill ends a process there, whatever the signal."""
    monkeypatch.setattr(os, "kill", lambda *given: pytest.fail(f"os.kill{given}"))
    workers._pass_on(signal.SIGINT, SimpleNamespace(process=SimpleNamespace(pid=1)))


def test_a_worker_of_windows_that_lost_its_command_stops_itself(monkeypatch, windows):
    told, ended = [], []
    monkeypatch.setattr(os, "kill", lambda *given: pytest.fail(f"os.kill{given}"))
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(_thread, "interrupt_main", told.append)
    monkeypatch.setattr(workers.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(workers.multiprocessing, "parent_process", lambda: SimpleNamespace(join=lambda: None))
    workers._follow_parent()
    assert told == [signal.SIGTERM] and ended == [143]


def test_interrupt_main_calls_the_handler_of_a_worker():
    """What Windows gets in place of os.kill: the handler runs in the main thread, and no process ends."""
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append((number, threading.current_thread())))
    try:
        asking = threading.Thread(target=_thread.interrupt_main, args=(signal.SIGTERM,))
        asking.start()
        asking.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [(signal.SIGTERM, threading.main_thread())]


@pytest.mark.parametrize(("refused", "replaced"), [(3, True), (files.ATTEMPTS, False)])
def test_a_file_that_is_being_read_is_replaced_later(tmp_path, monkeypatch, windows, refused, replaced):
    left, replace, slept = [refused], Path.replace, []

    def busy(half, path):
        if left[0]:
            left[0] -= 1
            raise PermissionError(13, "in use")
        return replace(half, path)

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(files.time, "sleep", slept.append)
    if replaced:
        files.write_text(tmp_path / "a", "new")
        assert (tmp_path / "a").read_text() == "new" and len(slept) == 3
    else:
        with pytest.raises(PermissionError):
            files.write_text(tmp_path / "a", "new")
        assert list(tmp_path.iterdir()) == []


def test_elsewhere_no_permission_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(files.time, "sleep", lambda seconds: pytest.fail("waited"))
    monkeypatch.setattr(Path, "replace", lambda half, path: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(PermissionError):
        files.write_text(tmp_path / "a", "new")


def test_the_allocator_of_linux_is_left_alone_elsewhere(monkeypatch, windows):
    monkeypatch.setattr(job.ctypes, "CDLL", lambda name: pytest.fail("loaded"))
    job.keep_freed_memory()


def test_cores_are_counted_without_an_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert engines.cores() == 6


@pytest.mark.parametrize(("encoding", "printed"), [("cp1252", b"p ? 0.03 \xb1"), ("utf-8", "p ≤ 0.03 ±".encode())])
def test_a_sign_that_a_terminal_lacks_ends_nothing(monkeypatch, encoding, printed):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    command._print_what_it_can()
    print("p ≤ 0.03 ±", end="", flush=True)
    assert raw.getvalue() == printed


def test_names_of_files_are_good_on_every_system():
    """No sign that Windows refuses; none that differ in case alone, which macOS and Windows take for one."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout: nothing says which files are the project's")
    names = listed.stdout.splitlines()
    assert not [name for name in names if set(name) & set('\\:*?"<>|')]
    assert len({name.lower() for name in names}) == len(names)
