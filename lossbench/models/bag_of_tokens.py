"""A bag of tokens: the mean of what stands for each, whatever their order."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.errors import ConfigError
from lossbench.ranges import takes

_NEEDS = (
    "model=bag_of_tokens needs texts, as token numbers (N, L), but this data has inputs {}. Use another model, or data "
    "of texts, such as data=help_classes."
)


@takes(vocabulary="int [2, inf)", width="int [1, inf)", hidden="int [1, inf)")
class BagOfTokens(nn.Module):
    """Embed tokens, take the mean of those that are no padding, then a hidden layer with ReLU.

    Parameters
    ----------
    input_shape : sequence of int
        The most tokens of a text.
    vocabulary : int
        Numbers of tokens; 0 is the padding.
    width : int
        Of an embedding.
    hidden : int
        Width of the hidden layer: the number of features.

    Raises
    ------
    ConfigError
        If inputs are no lists of whole numbers.

    References
    ----------
    Joulin, Grave, Bojanowski, Mikolov 2017, "Bag of Tricks for Efficient Text Classification", arXiv:1607.01759; it has
    no hidden layer.

    Examples
    --------
    >>> import torch
    >>> model = BagOfTokens((4,), vocabulary=10)
    >>> model(torch.tensor([[3, 5, 0, 0], [5, 0, 3, 0], [0, 0, 0, 0]])).shape
    torch.Size([3, 64])

    """

    one_thread = True

    def __init__(self, input_shape: Sequence[int], vocabulary: int = 8192, width: int = 64, hidden: int = 64) -> None:
        super().__init__()
        if len(input_shape) != 1:
            raise ConfigError(_NEEDS.format(f"of shape {tuple(input_shape)}"))
        self.embedding = nn.EmbeddingBag(vocabulary, width, mode="mean", padding_idx=0)
        self.layer = nn.Linear(width, hidden)
        self.num_features = hidden

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, L), int64, to features (N, hidden)."""
        if tokens.is_floating_point():
            raise ConfigError(_NEEDS.format("that are no whole numbers"))
        features: Tensor = F.relu(self.layer(self.embedding(tokens)))
        return features
