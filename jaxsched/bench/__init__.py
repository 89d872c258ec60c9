"""The benchmark: studies, which compare experiments by the steps they need to reach a target.

study/        what a study consists of, and what runs it
statistics/   estimates, intervals and tests from its records
report/       tables, CSV files, plots, event files and the page
"""

from jaxsched.extras import require_extra

require_extra("jaxsched.bench", "bench", "altair", "jinja2", "vl_convert", "matplotlib", "scipy")

from jaxsched.bench.report.report import write_report as write_report
from jaxsched.bench.report.results import Results as Results
from jaxsched.bench.report.results import by_study as by_study
from jaxsched.bench.report.tensorboard import write_event_files as write_event_files
from jaxsched.bench.report.terminal import terminal_text as terminal_text
from jaxsched.bench.statistics import Comparison as Comparison
from jaxsched.bench.statistics import Median as Median
from jaxsched.bench.statistics import PerformanceProfile as PerformanceProfile
from jaxsched.bench.statistics import ReachedCurve as ReachedCurve
from jaxsched.bench.statistics import Summary as Summary
from jaxsched.bench.statistics import caveats as caveats
from jaxsched.bench.statistics import compare_by_average as compare_by_average
from jaxsched.bench.statistics import compare_final as compare_final
from jaxsched.bench.statistics import compare_times as compare_times
from jaxsched.bench.statistics import counted as counted
from jaxsched.bench.statistics import earliest_significant as earliest_significant
from jaxsched.bench.statistics import evidence as evidence
from jaxsched.bench.statistics import first_at_target as first_at_target
from jaxsched.bench.statistics import median_interval as median_interval
from jaxsched.bench.statistics import performance_profile as performance_profile
from jaxsched.bench.statistics import reached_curve as reached_curve
from jaxsched.bench.statistics import summarise as summarise
from jaxsched.bench.statistics import times_to_target as times_to_target
from jaxsched.bench.study.find_records import FoundRecords as FoundRecords
from jaxsched.bench.study.find_records import find_records as find_records
from jaxsched.bench.study.find_records import read_study as read_study
from jaxsched.bench.study.from_records import Choices as Choices
from jaxsched.bench.study.from_records import update_manifests as update_manifests
from jaxsched.bench.study.manifest import MANIFEST_FILE as MANIFEST_FILE
from jaxsched.bench.study.manifest import RECORDS_FOLDER as RECORDS_FOLDER
from jaxsched.bench.study.manifest import Published as Published
from jaxsched.bench.study.manifest import StudyManifest as StudyManifest
from jaxsched.bench.study.manifest import published_in as published_in
from jaxsched.bench.study.runner import run_study as run_study
from jaxsched.bench.study.runner import study_records as study_records
from jaxsched.bench.study.runs_of_train import REPORT_FOLDER as REPORT_FOLDER
from jaxsched.bench.study.runs_of_train import RunsOfTrain as RunsOfTrain
from jaxsched.bench.study.runs_of_train import holds_runs as holds_runs
from jaxsched.bench.study.runs_of_train import runs_of_train as runs_of_train
from jaxsched.bench.study.shard import Shard as Shard
from jaxsched.bench.study.study import Study as Study
from jaxsched.bench.study.study import load_study as load_study
from jaxsched.bench.study.target import MedianBest as MedianBest
from jaxsched.bench.study.target import Target as Target
from jaxsched.bench.study.target import resolve_target as resolve_target
from jaxsched.bench.study.unfinished import NothingYetError as NothingYetError
from jaxsched.bench.study.unfinished import UnfinishedRun as UnfinishedRun
from jaxsched.bench.study.unfinished import describe_unfinished as describe_unfinished
