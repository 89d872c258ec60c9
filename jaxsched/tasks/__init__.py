"""Tasks: what a network learns from which data, and how it is measured."""

from jaxsched.extras import require_extra

require_extra("jaxsched.tasks", "train", "flax")

from jaxsched.tasks.image_classification import ImageClassification as ImageClassification
from jaxsched.tasks.language_model import LanguageModel as LanguageModel
from jaxsched.tasks.losses import CrossEntropy as CrossEntropy
from jaxsched.tasks.losses import Loss as Loss
from jaxsched.tasks.losses import MeanSquaredError as MeanSquaredError
from jaxsched.tasks.losses import OwnLoss as OwnLoss
from jaxsched.tasks.metrics import LOSS as LOSS
from jaxsched.tasks.metrics import Metric as Metric
from jaxsched.tasks.metrics import MetricSums as MetricSums
from jaxsched.tasks.supervised import OwnMetric as OwnMetric
from jaxsched.tasks.supervised import Supervised as Supervised
from jaxsched.tasks.task import Task as Task
from jaxsched.tasks.task import TaskFunctions as TaskFunctions
