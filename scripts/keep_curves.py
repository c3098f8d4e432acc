"""Make lossbench/catalogue/curves.xz anew: the curves of all losses with their default parameters.

python scripts/keep_curves.py
"""

from lossbench.catalogue.binding import bind
from lossbench.catalogue.curves import sampled
from lossbench.catalogue.facts import default_parameters, hyperparameters, losses_for
from lossbench.catalogue.kept_curves import FILE, write_curves
from lossbench.catalogue.loss_picture import TWO_CLASSES, Curve, curved_tasks
from lossbench.locate import locate
from lossbench.tasks import task_named


def all_curves() -> dict[tuple[str, str], Curve]:
    """Return the curves of each loss for each task that it serves, where it can be drawn."""
    found = {}
    for task in curved_tasks():
        context = TWO_CLASSES if task_named(task).has_classes else {}
        for name in losses_for(task):
            node = default_parameters(name)
            loss = bind(locate(node["_target_"]), hyperparameters(node), context, task)
            if (curve := sampled(loss)).over:
                found[name, task] = curve
    return found


if __name__ == "__main__":
    write_curves(all_curves())
    print(f"{FILE}: {FILE.stat().st_size:,} bytes")
