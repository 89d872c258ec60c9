"""The weights of another run that an experiment starts from."""

import os
from dataclasses import dataclass

from jaxsched.field_types import check_field_types


@dataclass(frozen=True)
class Pretrained:
    """The layers of another run that a run starts from, instead of drawing them; for transfer.

    They bring their batch-norm statistics with them. All other layers are drawn as usual, such as
    the head for other classes. The optimizer starts anew; its `lr_factors` make the layers slower
    or freeze them.

    Attributes:
        run: the path of the other run's record or its folder of checkpoints; see
            `jaxsched.train.load_run`. It is part of the experiment's digest. A run's record also
            holds what the weights were, in its field `pretrained`.
        layers: patterns of the layers to take, by their names in this experiment's network; `*`
            stands for any text.
        checkpoint: which checkpoint: "newest", "best", the number of updates, or a name such as
            "before_last_decay".
        averaged: whether to take the average of the weights.

    Raises:
        ValueError: if a field has the wrong type or there is no pattern.

    Example:
        >>> from jaxsched.experiment import Pretrained
        >>> Pretrained("runs/train/digits-1b2c3d4e-seed0.jsonl", layers=("stem*", "stage*")).layers
        ('stem*', 'stage*')
    """

    run: str
    layers: tuple[str, ...] = ("*",)
    checkpoint: str = "newest"
    averaged: bool = False

    def __post_init__(self):
        if isinstance(self.run, os.PathLike):
            object.__setattr__(self, "run", os.fspath(self.run))
        check_field_types(self)
        if not self.layers:
            raise ValueError(
                'Pretrained needs layers with at least one pattern, got none; write layers=("*",) '
                "for all layers."
            )
