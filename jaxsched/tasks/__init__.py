"""Tasks: what a network learns from which data, and how it is measured."""

from jaxsched.extras import require_extra

require_extra("jaxsched.tasks", "train", "flax")

from jaxsched.tasks.image_classification import ImageClassification as ImageClassification
from jaxsched.tasks.metrics import LOSS as LOSS
from jaxsched.tasks.metrics import Metric as Metric
from jaxsched.tasks.metrics import MetricSums as MetricSums
from jaxsched.tasks.task import Task as Task
from jaxsched.tasks.task import TaskFunctions as TaskFunctions
