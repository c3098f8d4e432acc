"""Comparisons: from the records of runs to a report. Nothing here imports the training side.

`lossbench.compare(...)` is both this package and, called, the function `of_folder.compare`.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


class _Called(ModuleType):
    """A package that can be called: its name in `lossbench` is that of the function as well."""

    def __call__(self, output_dir: str | Path = "outputs", data: str | None = None, **options: Any) -> Any:
        """Compare the runs of an output folder; `lossbench.compare.of_folder.compare` says what that gives."""
        return import_module("lossbench.compare.of_folder").compare(output_dir, data, **options)


sys.modules[__name__].__class__ = _Called
