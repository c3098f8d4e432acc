"""The pictures of classification."""

from lossbench.tasks.classification.report.by_class import accuracy_by_shots, memorised, recall_by_class
from lossbench.tasks.classification.report.classes import class_pictures
from lossbench.tasks.classification.report.curves import curves

PICTURES = (recall_by_class, accuracy_by_shots, memorised, class_pictures, curves)
"""What the report shows of the task, in this order; each returns no picture where it has nothing to show."""
