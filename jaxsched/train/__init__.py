"""The trainer: an experiment, compiled, and the loop that runs it."""

from jaxsched.train.experiment import Experiment as Experiment
from jaxsched.train.experiment import describe as describe
from jaxsched.train.loop import Evaluation as Evaluation
from jaxsched.train.loop import Outcome as Outcome
from jaxsched.train.loop import train as train
from jaxsched.train.preview import Preview as Preview
from jaxsched.train.program import Program as Program
from jaxsched.train.state import TrainState as TrainState
