"""The metrics of transduced lines in terms of lines: those of lines that are read frame by frame, as far as they go."""

from lossbench.tasks.by_sample import Arrays, Makers
from lossbench.tasks.sequence import by_sample as of_lines
from lossbench.tasks.task import Task


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `decoded` (N, S) against `target` (N, S), and the likelihood of each line."""
    return {name: maker for name, maker in of_lines.by_sample(task, arrays).items() if name in task.named}
