"""The trainer: compiles an experiment and runs it."""

from jaxsched.extras import require_extra

require_extra("jaxsched.train", "train", "flax", "orbax.checkpoint", "filelock", "platformdirs")

from jaxsched.train.checkpointing.checkpoints import AllDamagedError as AllDamagedError
from jaxsched.train.checkpointing.checkpoints import Checkpoints as Checkpoints
from jaxsched.train.checkpointing.orbax_io import saved_steps as saved_steps
from jaxsched.train.checkpointing.orbax_io import set_aside as set_aside
from jaxsched.train.checkpointing.policy import CheckpointPolicy as CheckpointPolicy
from jaxsched.train.checkpointing.preemption import Preempted as Preempted
from jaxsched.train.checkpointing.preemption import SignalHandler as SignalHandler
from jaxsched.train.checkpointing.resume import ResumeOptions as ResumeOptions
from jaxsched.train.checkpointing.run_state import RunState as RunState
from jaxsched.train.distributed.driver import Driver as Driver
from jaxsched.train.distributed.fate import EndTogether as EndTogether
from jaxsched.train.distributed.make_driver import make_driver as make_driver
from jaxsched.train.distributed.multihost import broadcast_from_main as broadcast_from_main
from jaxsched.train.distributed.multihost import require_same as require_same
from jaxsched.train.distributed.population import MembersDriver as MembersDriver
from jaxsched.train.distributed.processes import connect as connect
from jaxsched.train.distributed.processes import is_main as is_main
from jaxsched.train.distributed.processes import split_cpu as split_cpu
from jaxsched.train.ensemble import evaluate_ensemble as evaluate_ensemble
from jaxsched.train.evaluation import Evaluation as Evaluation
from jaxsched.train.loading.trained_run import TrainedRun as TrainedRun
from jaxsched.train.loading.trained_run import load_run as load_run
from jaxsched.train.loop import Outcome as Outcome
from jaxsched.train.loop import train as train
from jaxsched.train.population.members import Member as Member
from jaxsched.train.population.population import Population as Population
from jaxsched.train.profiling import ProfiledUpdates as ProfiledUpdates
from jaxsched.train.profiling import require_updates as require_updates
from jaxsched.train.program.batch_split import split_over_devices as split_over_devices
from jaxsched.train.program.executables import Compilation as Compilation
from jaxsched.train.program.executables import keep_compiled as keep_compiled
from jaxsched.train.program.max_batch_size import largest_batch_size as largest_batch_size
from jaxsched.train.program.program import Program as Program
from jaxsched.train.step.state import TrainState as TrainState
