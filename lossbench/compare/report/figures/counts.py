"""The pictures of counts are those of regression."""

from lossbench.compare.report.figures.regression import PICTURES

__all__ = ["PICTURES"]
