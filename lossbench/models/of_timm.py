"""Networks of timm (Wightman, github.com/huggingface/pytorch-image-models) as backbones, by their names there."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.errors import ConfigError, first_line, nearest
from lossbench.ranges import takes

INSTALL = "pip install 'lossbench[timm]'"


@takes(name="text", pretrained="bool")
class TimmModel(nn.Module):
    """A network of timm without its last layer.

    A network that is made for one size of images, such as a vision transformer, is made for that of the data.

    Parameters
    ----------
    input_shape : sequence of int
        Channels, height and width of one image.
    name : str
        As `timm.list_models()` has it.
    pretrained : bool
        Whether to start from weights that timm downloads, or has in its cache. They know images with the mean and
        deviation that they were trained on; here these are those of the data.

    Raises
    ------
    ConfigError
        If timm is not installed, has no such network, can't get its weights, or the network does not take such images.

    """

    def __init__(self, input_shape: Sequence[int], name: str = "resnet18", pretrained: bool = False) -> None:
        super().__init__()
        require_name(name)
        if len(input_shape) != 3:
            raise ConfigError(f"model=timm takes images, but this data has inputs of shape {tuple(input_shape)}.")
        self.net: Any = _made(name, pretrained, input_shape)
        try:
            with torch.no_grad():
                shape = self.net.eval()(torch.zeros(1, *input_shape)).shape
        except Exception as error:
            raise ConfigError(
                f"model.name={name} does not take images of shape {tuple(input_shape)}: {first_line(error)}. Use "
                "another network, or images of other sizes."
            ) from error
        self.net.train()
        self.num_features = int(shape[1])

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to features (N, num_features)."""
        features: Tensor = self.net(images)
        return features


def require_name(name: str) -> None:
    """Raise a `ConfigError` unless timm is installed and has a network of this name."""
    try:
        import timm
    except ImportError as error:
        raise ConfigError(f"model=timm needs timm, which is not installed: {INSTALL}") from error
    if not timm.is_model(name):
        raise ConfigError(f"model.name={name}: timm {timm.__version__} has no such network. {_like(name)}")


def _like(name: str) -> str:
    import timm

    return nearest(name, timm.list_models(f"{name[:4]}*") or ["resnet18", "convnext_atto", "vit_tiny_patch16_224"])


def _made(name: str, pretrained: bool, input_shape: Sequence[int]) -> nn.Module:
    """Make a network of timm, of the size of the images where it asks for one."""
    import timm

    settings: dict[str, Any] = {"in_chans": input_shape[0], "num_classes": 0}
    try:
        try:
            made: nn.Module = timm.create_model(name, pretrained, img_size=tuple(input_shape[1:]), **settings)
        except TypeError:  # it takes any size
            made = timm.create_model(name, pretrained, **settings)
    except Exception as error:
        if not pretrained:
            raise
        raise ConfigError(
            f"model.pretrained=true: timm can't get the weights of {name} ({type(error).__name__}: "
            f"{first_line(error)[:200]}). Without a network they must lie in its cache. Use model.pretrained=false, or "
            "fetch them once where there is one."
        ) from error
    return made
