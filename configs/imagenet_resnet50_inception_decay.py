"""ResNet-50 on ImageNet by the schedule of an Inception-ResNet-V2 at batch 8192, decayed in steps.

    jaxsched train configs/imagenet_resnet50_inception_decay.py \
        --data.folder ~/imagenet --read-workers 16

Not run yet. The schedule of "Don't decay the learning rate, increase the batch size" (arXiv
1711.00489), figure 6, which trains an Inception-ResNet-V2 by it: 14,076 updates (the paper: just
over 14,000), top-1 accuracy 78.7 and 77.8 % in two runs; no number for this network. Rate,
momentum, batch size and the 32 examples that batch norm looks at are the paper's; warm-up, steps
and weight decay those of `imagenet_resnet50.py`. `_batch` and `_momentum` make fewer updates of it.
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
    mode="lr",
)

experiment = Experiment(
    name="imagenet_resnet50_inception_decay",
    model=dataclasses.replace(RESNET50, norm=BatchNorm(ghost=32)),
    data=ImageFolder("~/imagenet"),
    phases=traded.phases,
    optimizer=js.SGD(traded.lr, traded.momentum, traded.weight_decay),
    augment=Augment(pad=0),  # the flip; the crop is made while decoding
    max_device_batch=256,
    precision="bfloat16",
)
