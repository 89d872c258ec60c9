"""Networks for images and text: specs of plain numbers, each of which builds pure functions."""

from jaxsched.extras import require_extra

require_extra("jaxsched.models", "train", "flax")

from jaxsched.models.cifar_resnet import CifarResNet as CifarResNet
from jaxsched.models.imagenet_resnet import RESNET50 as RESNET50
from jaxsched.models.imagenet_resnet import BottleneckResNet as BottleneckResNet
from jaxsched.models.inception_resnet import InceptionResNet as InceptionResNet
from jaxsched.models.layers.norm import BatchNorm as BatchNorm
from jaxsched.models.layers.norm import GroupNorm as GroupNorm
from jaxsched.models.layers.norm import Norm as Norm
from jaxsched.models.model import BatchStats as BatchStats
from jaxsched.models.model import Model as Model
from jaxsched.models.model import Network as Network
from jaxsched.models.model import Params as Params
from jaxsched.models.model import Variables as Variables
from jaxsched.models.own.linen_module import LinenModule as LinenModule
from jaxsched.models.own.nnx_module import NnxModule as NnxModule
from jaxsched.models.pyramid_net import PyramidNet as PyramidNet
from jaxsched.models.resnet import R9 as R9
from jaxsched.models.resnet import R18 as R18
from jaxsched.models.resnet import ResNet as ResNet
from jaxsched.models.shake_shake import ShakeShake as ShakeShake
from jaxsched.models.token_model import TokenModel as TokenModel
from jaxsched.models.token_model import TokenNetwork as TokenNetwork
from jaxsched.models.transformer import Transformer as Transformer
from jaxsched.models.wide_resnet import WideResNet as WideResNet
