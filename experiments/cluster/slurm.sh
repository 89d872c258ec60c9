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

if [[ ! -f ${1:-} ]]; then
  echo "error: expected CONFIG [OPTIONS] with a config file, got '${1:-}'" >&2
  exit 2
fi
# The signal before the end goes to the processes of srun alone; one that comes here, too, is of
# scancel, after which the job must not come back, or of a preemption that puts it back by itself.
ended_by_slurm=
trap 'ended_by_slurm=yes' TERM

# Since Slurm 22.05, srun asks for one core a task unless told.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
status=0
srun .venv/bin/jaxsched train "$@" --distributed ${SLURM_RESTART_COUNT:+--resume} || status=$?

# 128 + SIGTERM: the run was saved because its time was over.
if [[ $status -eq 143 && -z $ended_by_slurm ]]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
