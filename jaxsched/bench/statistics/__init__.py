"""The statistics of a study's records: estimates, intervals, tests, caveats. Imports no JAX.

counted.py              which weights count: raw ones, their average or the better
time_to_target.py       when a run reaches the target; the axes of time
median.py               medians with intervals, where a miss is infinite
summary.py              an experiment's medians and final values
reached_curve.py        the share of runs at the target, over time
performance_profile.py  scores over several targets
comparison.py           experiments against the baseline, seed by seed
t_test.py, signed_rank.py, holm.py   the tests behind a comparison
significance.py         from when on the mean is significantly better than the target
evidence.py             a comparison in words
caveats.py              warnings that belong before the numbers
"""

from jaxsched.bench.statistics.caveats import caveats as caveats
from jaxsched.bench.statistics.comparison import Comparison as Comparison
from jaxsched.bench.statistics.comparison import compare_final as compare_final
from jaxsched.bench.statistics.comparison import compare_times as compare_times
from jaxsched.bench.statistics.counted import compare_by_average as compare_by_average
from jaxsched.bench.statistics.counted import counted as counted
from jaxsched.bench.statistics.counted import has_average as has_average
from jaxsched.bench.statistics.counted import which_counts as which_counts
from jaxsched.bench.statistics.evidence import evidence as evidence
from jaxsched.bench.statistics.evidence import p_in_words as p_in_words
from jaxsched.bench.statistics.holm import holm as holm
from jaxsched.bench.statistics.median import Median as Median
from jaxsched.bench.statistics.median import median_interval as median_interval
from jaxsched.bench.statistics.performance_profile import PerformanceProfile as PerformanceProfile
from jaxsched.bench.statistics.performance_profile import performance_profile as performance_profile
from jaxsched.bench.statistics.reached_curve import ReachedCurve as ReachedCurve
from jaxsched.bench.statistics.reached_curve import reached_curve as reached_curve
from jaxsched.bench.statistics.significance import earliest_significant as earliest_significant
from jaxsched.bench.statistics.summary import Summary as Summary
from jaxsched.bench.statistics.summary import summarise as summarise
from jaxsched.bench.statistics.time_to_target import TimeAxis as TimeAxis
from jaxsched.bench.statistics.time_to_target import first_at_target as first_at_target
from jaxsched.bench.statistics.time_to_target import recorded_axes as recorded_axes
from jaxsched.bench.statistics.time_to_target import times_to_target as times_to_target
