"""Made-up predictions of several tasks, good and bad on every metric: those of each part's own task."""

from torch import Tensor

from lossbench.tasks.problem import Part, Problem, made_up_problem
from lossbench.tasks.several import KNOWN
from lossbench.tasks.several.evaluate import Predictions
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Predict each part well or badly, as the sample of its task does; the parts have as many samples as these."""
    found: Predictions = {}
    parts: dict[str, Part] = {}
    for name, kind in task.parts.items():
        predictions, problem = KNOWN[kind].sample(KNOWN[kind], good, part)
        values: dict[str, Tensor] = dict(predictions)
        found |= {f"{name}/{key}": value for key, value in values.items()}
        found.setdefault("index", values["index"])
        names = tuple(str(number) for number in range(problem.num_classes or 0))
        counts = tuple(problem.class_counts or ())
        parts[name] = Part(kind, tuple(values["target"].shape[1:]), names, counts)
    return found, made_up_problem(task, parts=parts, num_classes=None, images=task.per_pixel)
