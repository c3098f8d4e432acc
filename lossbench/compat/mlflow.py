"""What we take from MLflow that it keeps to itself; seen in MLflow 3.17.2.

Its `log_batch` makes an object of each value, and asks the database about each name, in four transactions.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric


def insert_rows(
    client: "MlflowClient", run_id: str, metrics: Sequence["Metric"] = (), params: Mapping[str, str] | None = None
) -> bool:
    """Send what a run in a database lacks in one transaction, as rows of its tables.

    Parameters
    ----------
    client : MlflowClient
        Of the store.
    run_id : str
        A run that has none of it.
    metrics : sequence of Metric
        Values, of each name and step one.
    params : mapping, optional
        Parameters by name.

    Returns
    -------
    bool
        Whether it was done; if not, nothing was sent: the store is a server, another version keeps its things
        elsewhere, or something is refused, and `log_batch` does it or tells why.

    """
    try:
        from mlflow.store.tracking.dbmodels.models import SqlMetric, SqlParam
        from mlflow.utils.validation import _validate_metric, _validate_param
        from sqlalchemy import insert

        store: Any = client._tracking_client.store
        rows = [_row(store, run_id, metric) for metric in metrics]
        newest: dict[str, dict[str, Any]] = {}
        for row in rows:
            newest[row["key"]] = max(newest.get(row["key"], row), row, key=_age)
        for row in newest.values():
            _validate_metric(row["key"], row["value"], row["timestamp"], row["step"])
        for key, value in (params or {}).items():
            _validate_param(key, value)
        with store.ManagedSessionMaker(read_only=False) as session:
            store._check_run_is_active(store._get_run(run_uuid=run_id, session=session))
            if params:
                named = [{"run_uuid": run_id, "key": key, "value": value} for key, value in params.items()]
                session.execute(insert(SqlParam), named)
            if rows:
                session.execute(insert(SqlMetric), rows)
                store._update_latest_metrics_if_necessary([SqlMetric(**row) for row in newest.values()], session)
    except Exception:
        return False
    return True


def _row(store: Any, run_id: str, metric: "Metric") -> dict[str, Any]:
    is_nan, value = store.sanitize_metric_value(metric.value)
    when = {"timestamp": metric.timestamp, "step": metric.step}
    return {"run_uuid": run_id, "key": metric.key, "value": value, "is_nan": is_nan, **when}


def _age(row: dict[str, Any]) -> tuple[int, int, float]:
    return row["step"], row["timestamp"], row["value"]
