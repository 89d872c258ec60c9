#!/bin/bash
# A TPU v5e slice of 32 chips, from its creation to its deletion, which also comes after an error:
# experiments/cluster/tpu_pod.sh CONFIG [OPTIONS]
set -euo pipefail
name=jaxsched
at="--zone=europe-west4-b"

everywhere() {
  gcloud compute tpus tpu-vm ssh "$name" "$at" --worker=all --command="$1"
}

finish() {
  # Worker 0 is process 0, which writes the record and the checkpoints.
  gcloud compute tpus tpu-vm scp "$name:runs" . "$at" --worker=0 --recurse || true
  gcloud compute tpus tpu-vm delete "$name" "$at" --quiet
}

trap finish EXIT
gcloud compute tpus tpu-vm create "$name" "$at" \
  --accelerator-type=v5litepod-32 --version=v2-alpha-tpuv5-lite

archive=$(mktemp)
# The archive holds no repository to ask for the commit, which the records name.
git archive --format=tar.gz --output="$archive" \
  --add-virtual-file="jaxsched/commit.txt:$(git rev-parse --short=12 HEAD)" HEAD
gcloud compute tpus tpu-vm scp "$archive" "$name:jaxsched.tar.gz" "$at" --worker=all
# The image is Ubuntu 22.04, whose Python is too old.
everywhere 'tar xzf jaxsched.tar.gz &&
  curl -LsSf https://astral.sh/uv/install.sh | sh &&
  ~/.local/bin/uv venv --python 3.12 &&
  ~/.local/bin/uv pip install ".[train]" "jax[tpu]"'
everywhere ".venv/bin/jaxsched train ${*@Q} --distributed"
