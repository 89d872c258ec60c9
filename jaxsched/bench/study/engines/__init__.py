"""Clusters' own queues, on which each run of a study is a task.

task.py       a run as a task, which any node can make that shares the study's folder
engine.py     what makes tasks
on_ray.py     a Ray cluster
on_slurm.py   Slurm
by_name.py    these by the names that the command knows
run_on.py     makes a study's runs on an engine
watch.py      what there is to see of a run that a task makes: its record
"""
