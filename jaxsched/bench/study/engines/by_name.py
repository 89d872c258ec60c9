"""The engines that the command knows by name."""

from collections.abc import Mapping

from jaxsched.bench.study.engines.on_ray import OnRay
from jaxsched.bench.study.engines.on_slurm import OnSlurm

ENGINES: Mapping[str, type[OnRay | OnSlurm]] = {"ray": OnRay, "slurm": OnSlurm}
