"""ResNet-50 on ImageNet by an Inception-ResNet-V2's schedule, at momentum 0.975 and batch 32,768.

    jaxsched train configs/imagenet_resnet50_inception_momentum.py \
        --data.folder ~/imagenet --read-workers 16

Not run yet. The run with the fewest updates of "Don't decay the learning rate, increase the batch
size" (arXiv 1711.00489), figure 7: momentum 0.975 for 0.9 from a batch of 32,768 on, and 65,536
from the first step on, in 2,346 updates (the paper: under 2,500) in place of 14,076; an
Inception-ResNet-V2 comes to 77.5 and 76.8 % top-1 by it, and to 78.8 % at momentum 0.9. Batch norm
looks at 64 examples. See `imagenet_resnet50_inception_batch.py`.
"""

import dataclasses

import jaxsched as js
from jaxsched.data import Augment, ImageFolder
from jaxsched.experiment import Experiment
from jaxsched.models import RESNET50, BatchNorm

traded = js.trade(
    js.Warmup(js.MultiStep(3.0, milestones=(30, 60, 80), factor=0.1), duration=5, start=0.1),
    momentum=0.9,
    weight_decay=1e-4,
    batch_size=8192,
    epochs=90,
    num_examples=1_281_167,
    max_batch_size=65_536,
    new_momentum=0.975,
)

experiment = Experiment(
    name="imagenet_resnet50_inception_momentum",
    model=dataclasses.replace(RESNET50, norm=BatchNorm(ghost=64)),
    data=ImageFolder("~/imagenet"),
    phases=traded.phases,
    optimizer=js.SGD(traded.lr, traded.momentum, traded.weight_decay),
    augment=Augment(pad=0),  # the flip; the crop is made while decoding
    max_device_batch=256,
    precision="bfloat16",
)
