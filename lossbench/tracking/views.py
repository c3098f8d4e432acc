"""Ready-made views of an MLflow experiment, since its own first page shows no metric.

A view is a tag of the experiment, `mlflow.sharedViewState.KEY`: the state of the page of runs as JSON, opened by an
address with `viewStateShareKey=KEY`. It was made with MLflow 3.17; the format is not documented, so a test with a
browser looks at the page.
"""

import json
from typing import Any

from lossbench.config.axes import AXES
from lossbench.tasks.loss_style import style_of
from lossbench.tasks.task import Task

RUNS = "tags.`lossbench.kind` = 'run' and tags.`lossbench.status` = 'finished'"
COUNT, LOWER, MEAN, UPPER = "count", "lower95", "mean", "upper95"
"""Of the sums over seeds: how many, and the interval. MLflow's pages sort columns by name: so they read in order."""
CURVES = "learning curves"


def color_of(loss: str) -> str:
    """Return the colour of a loss: that of its reports, the same for all its seeds and in every experiment.

    Examples
    --------
    >>> color_of("focal") == color_of("focal") != color_of("ldam")
    True

    """
    return style_of(loss).color


def view_tags(task: Task) -> dict[str, str]:
    """Return the experiment tags that hold the views of a task.

    Parameters
    ----------
    task : Task
        Whose metrics they show.

    """
    metric = task.columns[0]
    methods = [f"params.`{axis}`" for axis in AXES]
    columns = [f"metrics.`final/{name}`" for name in task.viewed]
    state: dict[str, Any] = {
        "searchFilter": RUNS,
        "orderByKey": f"metrics.`final/{metric}`",
        "orderByAsc": not task.higher_is_better(metric),
        "selectedColumns": ["params.`loss`", *methods, "params.`seed`", *columns],
        "runsHiddenMode": "SHOW_ALL",
        "runsExpanded": {},
        "groupBy": None,
    }
    by_loss = {
        **state,
        "selectedColumns": ["params.`loss`", *columns],
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "loss"}]},
        "useGroupedValuesInCharts": True,
    }
    sums = {
        **state,
        "searchFilter": "tags.`lossbench.kind` = 'aggregate'",
        "orderByKey": f"metrics.`mean/{metric}`",
        "selectedColumns": [f"metrics.`{COUNT}`", *(f"metrics.`{part}/{metric}`" for part in (LOWER, MEAN, UPPER))],
    }
    views = {"runs": state, "losses": by_loss, "curves": {**by_loss, **_charts(task)}, "intervals": sums}
    return {f"mlflow.sharedViewState.lossbench-{name}": json.dumps(view) for name, view in views.items()}


def _charts(task: Task) -> dict[str, Any]:
    """Return the state of the page of charts: the few that matter in a section on top, all others folded below it.

    MLflow adds the charts of every other metric by itself, to the section that is called as its name begins.
    """
    measured = [name for name in task.viewed if task.metric(name).when == "epoch"]
    shown = [*(f"val/{name}" for name in measured), "train/loss"]
    sections = {CURVES: True, **dict.fromkeys(("best_val", "final", "test", "train", "val"), False)}
    return {
        "compareRunCharts": [_chart(name) for name in shown],
        "compareRunSections": [
            {"uuid": name, "name": name, "display": unfolded, "isReordered": False, "deleted": False}
            for name, unfolded in sections.items()
        ],
        "isAccordionReordered": True,  # in this order, not by name
        "hideEmptyCharts": True,
    }


def _chart(metric: str) -> dict[str, Any]:
    return {
        "type": "LINE",
        "uuid": f"{CURVES}/{metric}",
        "metricSectionId": CURVES,
        "metricKey": metric,
        "displayName": metric,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "useGlobalXaxisKey": True,
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "scaleType": "linear",
        "xAxisScaleType": "linear",
        "range": {},
        "lineSmoothness": 0,
        "useGlobalLineSmoothing": True,
        "ignoreOutliers": False,
    }


def view_links(address: str, experiment_id: str, parent_id: str) -> dict[str, str]:
    """Return the addresses of the views, by what they show.

    Parameters
    ----------
    address : str
        Where MLflow's pages are served, e.g. "http://127.0.0.1:5000".
    experiment_id : str
        MLflow's number of the experiment.
    parent_id : str
        MLflow's id of the parent run, which holds the report.

    """
    runs = f"{address.rstrip('/')}/#/experiments/{experiment_id}/runs"
    page = f"{runs}?workflowType=machine_learning&viewStateShareKey="
    return {
        "report": f"{runs}/{parent_id}/artifacts/comparison/report.html?workflowType=machine_learning",
        "losses, mean over seeds": f"{page}lossbench-losses",
        "losses, with 95 % intervals": f"{page}lossbench-intervals",
        "learning curves, one line for each loss": f"{page}lossbench-curves&compareRunsMode=CHART",
        "all runs, best first": f"{page}lossbench-runs",
    }
