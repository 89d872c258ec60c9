"""The benchmark: studies, their records, and what they say."""

from jaxsched.bench.bounce import Bounce as Bounce
from jaxsched.bench.bounce import find_bounce as find_bounce
from jaxsched.bench.diagnosis import Diagnosis as Diagnosis
from jaxsched.bench.diagnosis import diagnose as diagnose
from jaxsched.bench.diagnosis import diagnosed as diagnosed
from jaxsched.bench.environment import environment as environment
from jaxsched.bench.environment import peak_memory as peak_memory
from jaxsched.bench.pictures import draw_schedules as draw_schedules
from jaxsched.bench.pictures import text_schedules as text_schedules
from jaxsched.bench.progress import Progress as Progress
from jaxsched.bench.records import Record as Record
from jaxsched.bench.records import RecordWriter as RecordWriter
from jaxsched.bench.records import read_record as read_record
from jaxsched.bench.records import refuse_finished as refuse_finished
from jaxsched.bench.report import write_report as write_report
from jaxsched.bench.runner import load as load
from jaxsched.bench.runner import planned as planned
from jaxsched.bench.runner import record_header as record_header
from jaxsched.bench.runner import record_path as record_path
from jaxsched.bench.runner import record_run as record_run
from jaxsched.bench.runner import run_study as run_study
from jaxsched.bench.runner import study_records as study_records
from jaxsched.bench.statistics import Summary as Summary
from jaxsched.bench.statistics import summarise as summarise
from jaxsched.bench.study import Study as Study
