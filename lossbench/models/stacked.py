"""The forward passes of many networks of one architecture at once.

The parameters and buffers of K networks are stacked under the names of their state dict, with the run as leading axis;
features have it too. Inputs come once for all runs that see the same: `places` (K,) says whose are whose, and without
it each run has its own. Linear layers are batched matrix products, convolutions are grouped over the runs in the
channels-last layout, and BatchNorm sees the channels of all runs side by side: no operation mixes runs. A test holds
each function against its model. A model of the user's own has no such function, so its runs train alone.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.models.backbones import MLP, LeNet
from lossbench.models.network import CosineHead
from lossbench.models.resnet import BasicBlock, ResNet32

State = Mapping[str, Tensor]
"""Parameters and buffers (K, ...) of K networks, by their names in the state dict of one."""
Forward = Callable[..., Tensor]
"""Of one of the networks, for what is not in its state, their stacked state, inputs (P, N, ...), and places (K,)."""


def mlp(model: nn.Module, state: State, inputs: Tensor, places: Tensor | None = None) -> Tensor:
    """Map inputs (P, N, ...) to the features (K, N, F) of K multilayer perceptrons."""
    maps = _of_runs(inputs, places).flatten(2)
    for name in (name for name in state if name.endswith("weight")):
        maps = F.relu(_linear(state, name.removesuffix("weight"), maps))
    return maps


def lenet(model: nn.Module, state: State, inputs: Tensor, places: Tensor | None = None) -> Tensor:
    """Map images (P, N, C, H, W) to the features (K, N, 84) of K LeNets.

    ReLU comes after pooling, where there is a quarter to do: values and gradients are the same to the bit.
    """
    first = _conv_of_images(state, "conv1", inputs, places, padding=2)
    maps = torch.cat([F.relu(F.max_pool2d(part, 2)) for part in first], dim=1)
    maps = F.relu(F.max_pool2d(_conv(state, "conv2", maps), 2))
    features = maps.unflatten(1, (len(state["conv1.weight"]), -1)).transpose(0, 1).flatten(2)
    return F.relu(_linear(state, "fc2.", F.relu(_linear(state, "fc1.", features))))


def resnet32(model: nn.Module, state: State, inputs: Tensor, places: Tensor | None = None) -> Tensor:
    """Map images (P, N, C, 32, 32) to the features (K, N, 64) of K ResNets; in training, count their statistics."""
    assert isinstance(model, ResNet32)
    images = _side_by_side(_of_runs(inputs, places))
    runs, training = len(state["conv.weight"]), model.training
    maps = F.relu(_batch_norm(state, "norm", _conv(state, "conv", images, padding=1), training))
    for place, block in enumerate(model.blocks):
        maps = _basic_block(block, state, f"blocks.{place}.", maps, runs, training)
    return maps.mean((-2, -1)).unflatten(1, (runs, -1)).transpose(0, 1)


def linear_head(head: nn.Module, state: State, features: Tensor) -> Tensor:
    """Map features (K, N, F) to the outputs (K, N, O) of K linear heads."""
    return _linear(state, "", features)


def cosine_head(head: nn.Module, state: State, features: Tensor) -> Tensor:
    """Map features (K, N, F) to the scaled cosines (K, N, O) of K cosine heads."""
    assert isinstance(head, CosineHead)
    return head.scale * torch.bmm(F.normalize(features, dim=2), F.normalize(state["weight"], dim=2).transpose(1, 2))


FORWARD: dict[type[nn.Module], Forward] = {
    MLP: mlp,
    LeNet: lenet,
    ResNet32: resnet32,
    nn.Linear: linear_head,
    CosineHead: cosine_head,
}


def form_of(model: nn.Module) -> Forward:
    """Return the stacked form of a module: that of its class, or of the one of ours that it is derived from."""
    return next(FORWARD[kind] for kind in type(model).__mro__ if kind in FORWARD)


def agrees_with_its_form(model: nn.Module, inputs: Tensor) -> bool:
    """Tell whether a module computes what its stacked form does, as one derived from ours may not; shape (N, ...)."""
    if type(model) in FORWARD:
        return True
    state = {name: tensor.unsqueeze(0).clone() for name, tensor in model.state_dict().items()}
    own = copy.deepcopy(model)
    with torch.no_grad():
        return torch.allclose(form_of(model)(own, state, inputs.unsqueeze(0))[0], own(inputs), rtol=1e-4, atol=1e-5)


def _basic_block(block: nn.Module, state: State, prefix: str, maps: Tensor, runs: int, training: bool) -> Tensor:
    assert isinstance(block, BasicBlock)
    residual = _conv(state, f"{prefix}conv1", maps, stride=block.stride, padding=1)
    residual = F.relu(_batch_norm(state, f"{prefix}norm1", residual, training))
    residual = _batch_norm(state, f"{prefix}norm2", _conv(state, f"{prefix}conv2", residual, padding=1), training)
    if block.stride > 1:
        halved = maps[..., :: block.stride, :: block.stride].unflatten(1, (runs, -1))
        maps = F.pad(halved, (0, 0, 0, 0, block.padding, block.padding)).flatten(1, 2)
    return F.relu(residual + maps)


def _of_runs(inputs: Tensor, places: Tensor | None) -> Tensor:
    return inputs if places is None else inputs.index_select(0, places)


def _conv_of_images(state: State, name: str, images: Tensor, places: Tensor | None, padding: int) -> Iterator[Tensor]:
    """Convolve images (P, N, C, H, W); yield maps (N, k O, H, W), channels last, of each k neighbouring runs.

    Runs that see the same images are one convolution of them with the kernels of all, which is twice as fast on a core
    as a group for each. With more threads than one its gradient would depend on how many runs there are.
    """
    if images.is_cuda or torch.get_num_threads() > 1:
        yield _conv(state, name, _side_by_side(_of_runs(images, places)), padding=padding)
        return
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    stop = 0
    for place, members in groupby(range(len(weight)) if places is None else places.tolist()):
        start, stop = stop, stop + len(list(members))
        kernels, offsets = weight[start:stop].flatten(0, 1), bias[start:stop].flatten()
        yield F.conv2d(images[place].to(memory_format=torch.channels_last), kernels, offsets, padding=padding)


def _side_by_side(images: Tensor) -> Tensor:
    """Lay the channels of all runs side by side: (K, N, C, H, W) to (N, K C, H, W), channels last."""
    return images.permute(1, 3, 4, 0, 2).flatten(3).contiguous().permute(0, 3, 1, 2)


def _conv(state: State, name: str, maps: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    return F.conv2d(
        maps,
        weight.flatten(0, 1),
        None if bias is None else bias.flatten(),
        stride=stride,
        padding=padding,
        groups=len(weight),
    )


def _batch_norm(state: State, name: str, maps: Tensor, training: bool) -> Tensor:
    if training:
        state[f"{name}.num_batches_tracked"].add_(1)
    mean, variance, weight, bias = (
        state[f"{name}.{part}"].view(-1) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(maps, mean, variance, weight, bias, training=training)


def _linear(state: State, prefix: str, inputs: Tensor) -> Tensor:
    """Map inputs (K, N, I) to (K, N, O), with the weights on the left: their gradient then needs no transposed copy."""
    bias, weight = state[f"{prefix}bias"], state[f"{prefix}weight"]
    return torch.baddbmm(bias.unsqueeze(2), weight, inputs.transpose(1, 2)).transpose(1, 2)
