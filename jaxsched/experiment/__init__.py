"""An experiment: everything that a run depends on, as one value, and its config file."""

from jaxsched.extras import require_extra

require_extra("jaxsched.experiment", "train", "flax")

from jaxsched.experiment.computable import require_computable as require_computable
from jaxsched.experiment.diff import differences as differences
from jaxsched.experiment.experiment import Experiment as Experiment
from jaxsched.experiment.files import load_module as load_module
from jaxsched.experiment.files import load_value as load_value
from jaxsched.experiment.files import read_source as read_source
from jaxsched.experiment.freeze import freeze_hyperparams as freeze_hyperparams
from jaxsched.experiment.freeze import hyperparams_at_peak_lr as hyperparams_at_peak_lr
from jaxsched.experiment.freeze import lr_name as lr_name
from jaxsched.experiment.freeze import without_stateful as without_stateful
from jaxsched.experiment.from_description import rebuild as rebuild
from jaxsched.experiment.misfits import misfits as misfits
from jaxsched.experiment.overrides import with_value as with_value
from jaxsched.experiment.pretrained import Pretrained as Pretrained
from jaxsched.experiment.preview import Preview as Preview
from jaxsched.experiment.serialize import describe as describe
from jaxsched.experiment.to_source import source_of as source_of
from jaxsched.experiment.validation import held_out as held_out
