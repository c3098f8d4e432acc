"""Run docs/first_steps.ipynb in a kernel and keep what it shows: needs nbclient and ipykernel (extra `docs`)."""

import base64
import io
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "first_steps.ipynb"


def main() -> int:
    """Run it in a folder of its own; leave out warnings, times and numbers of cells, which differ each time."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
            for out in cell.outputs:
                out.pop("execution_count", None)
                if "image/png" in out.get("data", {}):
                    out.data["image/png"] = in_few_colours(out.data["image/png"])
                if out.output_type == "execute_result":
                    out.execution_count = None
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, NOTEBOOK)
    return 0


def in_few_colours(png: str) -> str:
    """Return a picture, in base64, with 32 colours: curves need no more, and the file is a fraction."""
    smaller = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(32).save(smaller, "PNG", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode()


if __name__ == "__main__":
    sys.exit(main())
