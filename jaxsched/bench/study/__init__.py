"""A study: what it consists of, and what runs it.

study.py      the experiments, seeds and target; the study files
target.py     the value to reach
manifest.py   study.json: what a report needs of the study beside its records
from_records.py   the same for a study without a study file, from its records
find_records.py   the records of its runs
runner.py     runs a study
queue.py      the runs that are left, shared by several processes of one host
shard.py      a part of a study, for a job array
engines/      clusters' own queues, for the runs on several hosts
"""
