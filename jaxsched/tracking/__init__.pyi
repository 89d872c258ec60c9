"""The public names of jaxsched.tracking, each imported when it is first used."""

from jaxsched.tracking.claim import claim_record as claim_record
from jaxsched.tracking.claim import claim_runs as claim_runs
from jaxsched.tracking.devices import environment as environment
from jaxsched.tracking.devices import peak_memory as peak_memory
from jaxsched.tracking.evaluation_table import EvaluationTable as EvaluationTable
from jaxsched.tracking.progress import Progress as Progress
from jaxsched.tracking.progress import RunProgress as RunProgress
from jaxsched.tracking.record_writer import RecordWriter as RecordWriter
from jaxsched.tracking.record_writer import format_error as format_error
from jaxsched.tracking.recorder import load as load
from jaxsched.tracking.recorder import plan_for as plan_for
from jaxsched.tracking.recorder import record_header as record_header
from jaxsched.tracking.recorder import record_path as record_path
from jaxsched.tracking.recorder import record_run as record_run
from jaxsched.tracking.records import FAILED as FAILED
from jaxsched.tracking.records import Record as Record
from jaxsched.tracking.records import Run as Run
from jaxsched.tracking.records import is_complete as is_complete
from jaxsched.tracking.records import read_record as read_record
from jaxsched.tracking.records import read_records as read_records
from jaxsched.tracking.records import refuse_finished as refuse_finished
