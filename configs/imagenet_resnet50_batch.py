"""ResNet-50 on ImageNet at batch 8192 for 30 epochs, then at 16,384 with a smaller learning rate.

    jaxsched train configs/imagenet_resnet50_batch.py \
        --data.folder ~/imagenet --read-workers 16

This is the ResNet-50 of "Don't decay the learning rate, increase the batch size" (arXiv
1711.00489). Of the tenth at epoch 30 the batch takes a half and the learning rate the rest. The
recipe is that of `imagenet_resnet50.py`, as the paper does not print its own. Batch norm normalises
groups of 32 examples, as in Goyal et al., where that is one GPU's share.

Hardware: several GPUs or a TPU slice. Not run yet.
Published: 76.1 % top-1 on a TPU in under 30 minutes. Batch 8192 throughout takes 45 minutes for the
same accuracy, and 16,384 at twice the learning rate throughout reaches 75.0 %.
"""

import dataclasses

import jaxsched as js
from jaxsched.data import Augment, ImageFolder
from jaxsched.experiment import Experiment
from jaxsched.models import RESNET50, BatchNorm
from jaxsched.tasks import ImageClassification

traded = js.trade(
    js.Warmup(js.MultiStep(3.2, milestones=(30, 60, 80), factor=0.1), duration=5, start=0.1),
    momentum=0.9,
    weight_decay=1e-4,
    batch_size=8192,
    epochs=90,
    num_examples=1_281_167,
    max_batch_size=16_384,
)

experiment = Experiment(
    name="imagenet_resnet50_batch",
    task=ImageClassification(
        model=dataclasses.replace(RESNET50, norm=BatchNorm(ghost=32)),
        data=ImageFolder("~/imagenet", num_train=1_281_167, num_classes=1000),
        augment=Augment(pad=0),
    ),
    phases=traded.phases,
    optimizer=js.SGD(traded.lr, traded.momentum, traded.weight_decay, nesterov=True),
    # the flip; the crop is made while decoding
    max_device_batch=256,
    precision="bfloat16",
)
