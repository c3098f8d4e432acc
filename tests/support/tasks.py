"""The data on which the losses of each task are tried."""

DATA = {
    "multiclass": "digits_imb",
    "binary": "breast_cancer",
    "regression": "outliers",
    "multilabel": "digits_multilabel",
    "sequence": "digit_lines",
    "vae": "digits",
    "gan": "digits",
    "denoising": "digits",
    "energy": "digits",
    "flow": "digits",
    "distributional": "heteroscedastic",
    "count": "counts",
}
