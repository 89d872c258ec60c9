"""Plans: which examples each update trains on, and the conversion between units of time."""

from jaxsched.plan.plan import Phase as Phase
from jaxsched.plan.plan import Plan as Plan
from jaxsched.plan.plan import Segment as Segment
from jaxsched.plan.plan import every as every
