"""ResNet-50 on ImageNet at batch 8192 for 90 epochs, on all devices that there are.

    jaxsched train configs/imagenet_resnet50.py --data.folder ~/imagenet --read-workers 16
    sbatch experiments/cluster/slurm.sh configs/imagenet_resnet50.py --data.folder /data/imagenet

The folder holds train/CLASS/*.JPEG and val/CLASS/*.JPEG and is streamed. The recipe is that of
Goyal et al., "Accurate, large minibatch SGD" (arXiv 1706.02677): a learning rate of 0.1 for each
256 examples, five epochs of warm-up, a tenth from epochs 30, 60 and 80 on. Goyal et al. do not
apply weight decay to batch norm's scale and bias; this config does.

Hardware: several GPUs or a TPU slice. Not run yet.
Published: 23.74 ± 0.09 % top-1 error at batch 8192.
"""

import jaxsched as js
from jaxsched.data import Augment, ImageFolder
from jaxsched.experiment import Experiment
from jaxsched.models import RESNET50
from jaxsched.tasks import ImageClassification

experiment = Experiment(
    name="imagenet_resnet50",
    task=ImageClassification(
        model=RESNET50,
        data=ImageFolder("~/imagenet", num_train=1_281_167, num_classes=1000),
        augment=Augment(pad=0),
    ),
    phases=(js.Phase(epochs=90, batch_size=8192),),
    optimizer=js.SGD(
        js.Warmup(js.MultiStep(3.2, milestones=(30, 60, 80), factor=0.1), duration=5, start=0.1),
        momentum=0.9,
        weight_decay=1e-4,
        nesterov=True,
    ),
    # the flip; the crop is made while decoding
    precision="bfloat16",
)
