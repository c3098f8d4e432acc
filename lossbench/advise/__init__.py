"""Advice from a look at the data: what is found in them, and which losses and metrics that speaks for.

`lossbench.advise(...)` is both this package and, called, the function `of_data.advise`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Called(ModuleType):
    """A package that can be called: its name in `lossbench` is that of the function as well."""

    def __call__(self, data: Any, *overrides: str, task: str | None = None) -> Any:
        """Look at data, and say which losses to try; `lossbench.advise.of_data.advise` says what that gives."""
        return import_module("lossbench.advise.of_data").advise(data, *overrides, task=task)


sys.modules[__name__].__class__ = _Called
