"""AlgoPerf's competition of training algorithms: its logs as studies, and its scores.

competition.py   the workloads, their targets and the trials
measurements.py  reads them from AlgoPerf's own logs, or from one file of measurements
studies.py       writes them as studies: one for each workload, each trial a record
rules.py         times of submissions by the rules of the competition, and their scores
page.py          the page of the competition
"""

from jaxsched.bench.algoperf.competition import Competition as Competition
from jaxsched.bench.algoperf.competition import Trial as Trial
from jaxsched.bench.algoperf.competition import Workload as Workload
from jaxsched.bench.algoperf.measurements import read_measurements as read_measurements
from jaxsched.bench.algoperf.page import write_competition_page as write_competition_page
from jaxsched.bench.algoperf.rules import Standing as Standing
from jaxsched.bench.algoperf.rules import standing as standing
from jaxsched.bench.algoperf.studies import read_studies as read_studies
from jaxsched.bench.algoperf.studies import write_studies as write_studies
