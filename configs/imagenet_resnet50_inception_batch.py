"""ResNet-50 on ImageNet: from batch 8,192 to 65,536 at the first of three steps, 90 epochs.

    jaxsched train configs/imagenet_resnet50_inception_batch.py \
        --data.folder ~/imagenet --read-workers 16

This is the growing batch of figure 6 of "Don't decay the learning rate, increase the batch size"
(arXiv 1711.00489), with the paper's schedule for an Inception-ResNet-V2. Learning rate, momentum,
batch sizes and the 32 examples that batch norm normalises are the paper's; warm-up, steps and
weight decay are those of `imagenet_resnet50.py`. A batch of 65,536 images lies on the devices as it
was read, 9.9 GB in all, and each device takes 256 at a time.

The paper's other runs are arguments of `js.trade`: `mode="lr"` decays at batch 8,192 throughout
(14,076 updates); `new_momentum=0.975`, with batch norm over 64 examples, starts at 32,768 (2,346).

Hardware: several GPUs or a TPU slice. Not run yet.
Published, for an Inception-ResNet-V2, two runs each: 78.1 and 76.8 % top-1 in under 6,000 updates
(here 5,865), 78.7 and 77.8 % with `mode="lr"`, 77.5 and 76.8 % at momentum 0.975 (78.8 % is its run
at momentum 0.9).
"""

import dataclasses

import jaxsched as js
from jaxsched.data import Augment, ImageFolder
from jaxsched.experiment import Experiment
from jaxsched.models import RESNET50, BatchNorm
from jaxsched.tasks import ImageClassification

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
    task=ImageClassification(
        model=dataclasses.replace(RESNET50, norm=BatchNorm(ghost=32)),
        data=ImageFolder("~/imagenet", num_train=1_281_167, num_classes=1000),
        augment=Augment(pad=0),
    ),
    phases=traded.phases,
    optimizer=js.SGD(traded.lr, traded.momentum, traded.weight_decay),
    # the flip; the crop is made while decoding
    max_device_batch=256,
    precision="bfloat16",
)
