"""Facts about a compiled program, read from its text: `facts.read_program` is the entrance.

It takes the optimised HLO of XLA's compilers for CPU, GPU and TPU, imports nothing of the trainer
and needs no JAX.
"""
