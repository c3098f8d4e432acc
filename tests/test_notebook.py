"""The notebook of the docs runs to its end and shows what it says; in a kernel of Jupyter where there is one."""

import contextlib
import importlib.util
import io
import json
import os
import re

from tests.support.commands import ROOT

NOTEBOOK = ROOT / "docs" / "first_steps.ipynb"
KERNEL = all(importlib.util.find_spec(name) for name in ("nbclient", "ipykernel"))
MOST_BYTES = 60_000


def in_a_kernel(folder) -> list[str]:
    """Run the notebook as Jupyter does; return what each cell of code prints."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return ["".join(out.get("text", "") for out in cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]


def by_itself(folder) -> list[str]:
    """Run the cells of code in one namespace; return what each prints."""
    import matplotlib as mpl

    mpl.use("agg")
    names: dict = {"__name__": "__main__"}
    printed = []
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            with contextlib.redirect_stdout(io.StringIO()) as told:
                exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
            printed.append(told.getvalue())
    return printed


def test_it_runs_to_its_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    out = "\n".join((in_a_kernel if KERNEL else by_itself)(tmp_path))
    assert float(re.search(r"^(0\.\d\d) of the training samples are right", out, re.MULTILINE)[1]) > 0.9
    assert "'balanced_softmax'" in out and "The largest class, 0," in out
    assert re.search(r"best (mean )?(on )?balanced accuracy \(0\.\d{3}", out)
    table = dict(re.findall(r"^(balanced_softmax|cross_entropy) +(0\.\d+)", out, re.MULTILINE))
    assert float(table["balanced_softmax"]) > float(table["cross_entropy"]) > 0.6
    assert len(list(tmp_path.glob("outputs/digits_imb/*/record.json"))) == 9


def test_what_it_shows_is_small_and_its_own():
    """It is kept as it was run: with output, without the paths and warnings of the machine that ran it."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert len(text) < MOST_BYTES and any("image/png" in out.get("data", {}) for out in cells[-1]["outputs"])
    assert not re.search(r"stderr|/home/|/tmp/|site-packages", text)
    assert not any(cell["metadata"] for cell in cells)
