"""Comparisons: from the records of runs to a report. Nothing here imports the training side."""
