"""Plans: phases of a run to updates; the only arithmetic between steps, examples and epochs."""

from jaxsched.plan.plan import Phase as Phase
from jaxsched.plan.plan import Plan as Plan
from jaxsched.plan.plan import Segment as Segment
from jaxsched.plan.plan import every as every
