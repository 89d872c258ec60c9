# Needs torch, which the tests do not: pytest must not import it in search of doctests.
collect_ignore = ["record_torch_traces.py"]
