"""What the server from which workers are forked imports at its start, all that a worker may need."""

import gc
from importlib import import_module

from lossbench.locate import without_collecting

NAMES = (
    "lossbench.running.stacks",
    "lossbench.compare.present",
    "lossbench.compare.report.html",
    "mlflow.store.tracking.sqlalchemy_store",
)

with without_collecting():
    for name in NAMES:
        import_module(name)
gc.freeze()  # what was imported is here to stay: no worker looks through it again and again
