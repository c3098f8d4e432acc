"""Missing and damaged files, downloads, and what may be imported before a run starts."""

import hashlib
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest

from lossbench.data import files
from lossbench.data.files import FILES, DataError, Files, can_reach, data_root, ensure_files
from lossbench.errors import ConfigError


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(files, "can_reach", lambda url: False)


@pytest.fixture
def tiny(monkeypatch):
    """A source of two files that a test can write."""
    contents = {"a": b"first", "b": b"second"}
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setitem(FILES, "tiny", Files("Tiny", "https://example.invalid", "Tiny/raw", md5))

    def write(root):
        folder = root / "Tiny" / "raw"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)

    return write


def test_root(monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBENCH_DATA", "/environment")
    assert data_root("given") == Path("given")
    assert data_root(None) == Path("/environment")
    monkeypatch.delenv("LOSSBENCH_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_root(None) == tmp_path / "lossbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_root(None) == Path.home() / ".cache" / "lossbench"


@pytest.mark.parametrize("source", ["digits", "breast_cancer", "diabetes", "outliers"])
def test_embedded_sources_need_no_files(source, tmp_path):
    ensure_files(source, tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("source", sorted(FILES))
def test_missing_files_are_told_in_one_paragraph(source, tmp_path, offline):
    with pytest.raises(DataError) as caught:
        ensure_files(source, tmp_path / "data")
    text, layout = str(caught.value), FILES[source]
    expected = [str(tmp_path / "data" / layout.folder), *layout.md5, "data.root=", "LOSSBENCH_DATA=", "data=digits_imb"]
    assert [part for part in expected if part not in text] == []
    assert "\n" not in text
    assert isinstance(caught.value, ConfigError)
    assert not (tmp_path / "data").exists()


def test_packed_files_are_told(tmp_path, offline):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte.gz").touch()
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz lie there still packed: run gunzip"):
        ensure_files("mnist", tmp_path)


def test_a_damaged_file_is_named(tmp_path, tiny):
    tiny(tmp_path)
    ensure_files("tiny", tmp_path)
    (tmp_path / "Tiny" / "raw" / "b").write_bytes(b"secont")
    with pytest.raises(DataError) as caught:
        ensure_files("tiny", tmp_path)
    found, expected = (hashlib.md5(content).hexdigest() for content in (b"secont", b"second"))
    assert f"MD5 is {found}, expected {expected}" in str(caught.value)
    assert str(tmp_path / "Tiny" / "raw" / "b") in str(caught.value)


def test_a_download_is_tried_once(tmp_path, tiny, monkeypatch):
    calls = []
    monkeypatch.setattr(files, "can_reach", lambda url: True)
    monkeypatch.setattr(files, "_fetch", lambda layout, root: (calls.append(root), tiny(root)))
    ensure_files("tiny", tmp_path / "new")
    ensure_files("tiny", tmp_path / "new")
    assert calls == [tmp_path / "new"]


def test_a_failed_download_says_why(tmp_path, tiny, monkeypatch):
    def fail(layout, root):
        raise OSError("connection reset")

    monkeypatch.setattr(files, "can_reach", lambda url: True)
    monkeypatch.setattr(files, "_fetch", fail)
    with pytest.raises(DataError, match=r"download failed \(OSError: connection reset\)"):
        ensure_files("tiny", tmp_path)


def test_the_probe_does_not_wait_for_a_name_look_up_that_hangs(monkeypatch):
    release, ended = threading.Event(), threading.Event()

    def hang(*arguments, **options):
        release.wait(30)
        ended.set()
        raise TimeoutError

    monkeypatch.setattr(urllib.request, "urlopen", hang)
    assert not can_reach("https://example.invalid", seconds=0.2)
    assert not ended.is_set()
    release.set()


def test_a_refused_connection_is_told_after_one_request(monkeypatch, tmp_path, tiny):
    asked = []

    def refuse(request, timeout):
        asked.append((request.full_url, request.method, timeout))
        raise URLError(ConnectionRefusedError())

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(DataError, match="its server can't be reached"):
        ensure_files("tiny", tmp_path)
    assert asked == [("https://example.invalid", "HEAD", files.PROBE_SECONDS)] and files.PROBE_SECONDS <= 5


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import lossbench.data.files, lossbench.seeding", ["torch", "torchvision", "sklearn"]),
        (
            "from lossbench.data.sources.source import load_source; from pathlib import Path\n"
            "for name in ('digits', 'breast_cancer', 'diabetes', 'outliers'): load_source(name, Path('none'), 0)",
            ["torchvision", "pytorch_lightning"],
        ),
    ],
)
def test_what_is_not_imported(code, forbidden):
    check = f"{code}\nimport sys; print([name for name in {forbidden} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.real_data
def test_real_files_are_whole(real_data_root):
    for source in ("mnist", "cifar10"):
        ensure_files(source, real_data_root)
