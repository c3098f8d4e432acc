"""The figure of a run of counts is that of regression."""

from lossbench.tasks.regression.figures import of_run

__all__ = ["of_run"]
