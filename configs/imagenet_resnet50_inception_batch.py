"""ResNet-50 on ImageNet by an Inception-ResNet-V2's schedule, its first decay a batch of 65,536.

    jaxsched train configs/imagenet_resnet50_inception_batch.py \
        --data.folder ~/imagenet --read-workers 16

Not run yet. The run with a growing batch of "Don't decay the learning rate, increase the batch
size" (arXiv 1711.00489), figure 6: from 8,192 to 65,536 at the first of three steps, in 5,865
updates (the paper: under 6,000) in place of 14,076; an Inception-ResNet-V2 comes to 78.1 and 76.8 %
top-1 by it. See `imagenet_resnet50_inception_decay.py`. A batch of 65,536 images lies on the
devices as it was read, 9.9 GB in all, and is taken 256 a device at a time.
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
)

experiment = Experiment(
    name="imagenet_resnet50_inception_batch",
    model=dataclasses.replace(RESNET50, norm=BatchNorm(ghost=32)),
    data=ImageFolder("~/imagenet"),
    phases=traded.phases,
    optimizer=js.SGD(traded.lr, traded.momentum, traded.weight_decay),
    augment=Augment(pad=0),  # the flip; the crop is made while decoding
    max_device_batch=256,
    precision="bfloat16",
)
