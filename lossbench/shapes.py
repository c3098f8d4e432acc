"""Which models can see which data and what can be predicted of it, known before either is loaded."""

from collections.abc import Sequence

from lossbench.errors import ConfigError

INPUT_SHAPES = {
    "breast_cancer": (30,),
    "cifar10": (3, 32, 32),
    "cifar100": (3, 32, 32),
    "counts": (5,),
    "curve": (8,),
    "diabetes": (10,),
    "digit_lines": (1, 8, 64),
    "digits": (1, 8, 8),
    "digits_multilabel": (1, 8, 8),
    "fashion_mnist": (1, 28, 28),
    "gaussians25": (2,),
    "gaussians8": (2,),
    "heteroscedastic": (1,),
    "mnist": (1, 28, 28),
    "mnist_lines": (1, 28, 224),
    "outliers": (1,),
    "ring": (2,),
    "spiral": (2,),
}
"""The shape of one input of each source."""

TASKS = {
    "breast_cancer": "binary",
    "cifar10": "multiclass",
    "cifar100": "multiclass",
    "counts": "count",
    "curve": "regression",
    "diabetes": "regression",
    "digit_lines": "sequence",
    "digits": "multiclass",
    "digits_multilabel": "multilabel",
    "fashion_mnist": "multiclass",
    "heteroscedastic": "regression",
    "mnist": "multiclass",
    "mnist_lines": "sequence",
    "outliers": "regression",
}
"""What is predicted of each source."""

ALSO_SERVES: dict[str, tuple[str, ...]] = {"multiclass": ("generation",), "regression": ("distributional",)}
"""The tasks that a source serves beside its own: images can be generated, a number's distribution predicted."""

SMALLEST_IMAGE = {"LeNet": 12, "ResNet32": 4}
"""The pixels a side that a convolutional model needs."""


def require_fit(model: str, input_shape: Sequence[int]) -> None:
    """Raise a `ConfigError` if a model of lossbench can't see inputs of a shape.

    Parameters
    ----------
    model : str
        Name of the model's class; others than those of `SMALLEST_IMAGE` take any shape.
    input_shape : sequence of int
        Shape of one input.

    """
    smallest = SMALLEST_IMAGE.get(model, 0)
    if smallest and (len(input_shape) != 3 or min(input_shape[1:]) < smallest):
        raise ConfigError(
            f"model={model.lower()} needs images of at least {smallest}x{smallest} pixels, "
            f"but this data has inputs of shape {tuple(input_shape)}. Use model=mlp, or other data."
        )
