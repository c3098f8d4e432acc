"""Models: backbones that map inputs to features, and the network that joins one with a head."""

from lossbench.models.backbones import MLP as MLP
from lossbench.models.backbones import ConvNet as ConvNet
from lossbench.models.backbones import LeNet as LeNet
from lossbench.models.denoising import DenoisingMLP as DenoisingMLP
from lossbench.models.energy import EnergyMLP as EnergyMLP
from lossbench.models.flow import CouplingFlow as CouplingFlow
from lossbench.models.gan import GANMLP as GANMLP
from lossbench.models.gan import GANConv as GANConv
from lossbench.models.network import Network as Network
from lossbench.models.resnet import ResNet32 as ResNet32
from lossbench.models.unet import PixelMLP as PixelMLP
from lossbench.models.unet import UNet as UNet
from lossbench.models.vae import VAEMLP as VAEMLP
from lossbench.models.vae import VAEConv as VAEConv
