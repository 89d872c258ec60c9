#!/bin/bash
# Slurm, one process a GPU: sbatch experiments/cluster/slurm.sh CONFIG [OPTIONS]
#
# JAX gives the i-th process of a node its i-th GPU, so each has to see all of them: as many tasks
# a node as GPUs, and never --gpus-per-task (github.com/jax-ml/jax/issues/28194).
#
#SBATCH --job-name=jaxsched
#SBATCH --nodes=2
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
# Two minutes before the end every process is told to save; a job that is put back goes on.
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

# Since Slurm 22.05, srun asks for one core a task unless told.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
srun .venv/bin/jaxsched train "$@" --distributed ${SLURM_RESTART_COUNT:+--resume}
