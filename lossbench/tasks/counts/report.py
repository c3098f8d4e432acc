"""The pictures of counts are those of regression."""

from lossbench.tasks.regression.report import PICTURES

__all__ = ["PICTURES"]
