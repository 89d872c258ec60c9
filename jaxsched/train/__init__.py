"""The trainer: an experiment, compiled, and the loop that runs it."""

from jaxsched.train.checkpoints import Checkpoints as Checkpoints
from jaxsched.train.compilation import Compilation as Compilation
from jaxsched.train.compilation import keep_compiled as keep_compiled
from jaxsched.train.ensemble import evaluate_ensemble as evaluate_ensemble
from jaxsched.train.evaluation import Evaluation as Evaluation
from jaxsched.train.experiment import Experiment as Experiment
from jaxsched.train.experiment import describe as describe
from jaxsched.train.fitting import largest_batch_size as largest_batch_size
from jaxsched.train.loop import Outcome as Outcome
from jaxsched.train.loop import train as train
from jaxsched.train.parallel import connect as connect
from jaxsched.train.parallel import is_main as is_main
from jaxsched.train.parallel import make_driver as make_driver
from jaxsched.train.parallel import split_cpu as split_cpu
from jaxsched.train.position import Position as Position
from jaxsched.train.preview import Preview as Preview
from jaxsched.train.processes import from_main as from_main
from jaxsched.train.processes import require_same as require_same
from jaxsched.train.profiling import Profile as Profile
from jaxsched.train.program import Program as Program
from jaxsched.train.resuming import Start as Start
from jaxsched.train.saving import Saving as Saving
from jaxsched.train.signals import Preempted as Preempted
from jaxsched.train.signals import Signals as Signals
from jaxsched.train.state import TrainState as TrainState
