from lossbench.advise.of_data import advise as advise
from lossbench.catalogue.binding import load_loss as load_loss
from lossbench.catalogue.listing import list_losses as list_losses
from lossbench.catalogue.listing import metrics as metrics
from lossbench.compare.of_folder import compare as compare
from lossbench.compare.results import load_predictions as load_predictions
from lossbench.compare.results import load_results as load_results

__version__: str
__all__ = [
    "__version__",
    "advise",
    "compare",
    "list_losses",
    "load_loss",
    "load_predictions",
    "load_results",
    "metrics",
]
