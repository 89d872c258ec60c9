"""Clusters' own queues, on which each run of a study is a task."""
