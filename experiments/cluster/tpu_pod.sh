#!/bin/bash
# Trains on a TPU slice, from its creation to its deletion, which also comes after an error, Ctrl-C
# or SIGTERM: [TPU_NAME=… TPU_ZONE=… TPU_SIZE=… TPU_VERSION=…] experiments/cluster/tpu_pod.sh CONFIG [OPTIONS]
#
# CONFIG is a path within the repository. The slice gets the commit HEAD, nothing that is not
# committed; what the run writes is copied to ./runs.
set -euo pipefail
name=${TPU_NAME:-jaxsched}
zone=${TPU_ZONE:-europe-west4-b}
size=${TPU_SIZE:-v5litepod-32}
version=${TPU_VERSION:-v2-alpha-tpuv5-lite}
python=${PYTHON:-.venv/bin/python} # with this repository and its extra [train]

tpu() {
  gcloud compute tpus tpu-vm "$1" "${@:2}" "--zone=$zone"
}

everywhere() {
  tpu ssh "$name" --worker=all --command="$1"
}

refuse() {
  echo "error: $1" >&2
  exit 2
}

# Everything that can be wrong here is found before chips are paid for.
check() {
  [[ $# -ge 1 && $1 != -* ]] || refuse "expected CONFIG [OPTIONS]; give a config file first."
  [[ " $*" != *" --workdir"* ]] || refuse "--workdir stays runs/train, which is copied back."
  cd "$(git rev-parse --show-toplevel)"
  git cat-file -e "HEAD:$1" 2>/dev/null ||
    refuse "$1 is not in the commit HEAD, which the slice gets; commit it, and give its path from $PWD."
  [[ -z $(git status --porcelain) ]] || echo "note: changes that are not committed are not sent" >&2
  "$python" - "$@" <<'EOF'
import sys
from pathlib import Path

from jaxsched.cli.commands.train import Train
from jaxsched.cli.options import parse

try:
    parse(Train, "train", Path(sys.argv[1]), sys.argv[2:])
except (ValueError, OSError) as error:
    sys.exit(f"error: {error}")
EOF
  command -v gcloud >/dev/null || refuse "gcloud is missing; install the Google Cloud CLI."
}

finish() {
  status=$?
  trap '' INT TERM HUP # a second Ctrl-C must not leave a slice that costs
  # Worker 0 is process 0, which writes the record and the checkpoints.
  tpu scp "$name:runs" . --worker=0 --recurse || echo "nothing was copied from $name" >&2
  tpu delete "$name" --quiet ||
    echo "$name MAY STILL RUN AND COST; delete it: gcloud compute tpus tpu-vm delete $name --zone=$zone" >&2
  rm -f "$archive"
  exit "$status"
}

check "$@"
archive=$(mktemp)
# The archive holds no repository to ask for the commit, which the records name.
git archive --format=tar.gz --output="$archive" \
  --add-virtual-file="jaxsched/commit.txt:$(git rev-parse --short=12 HEAD)" HEAD

# Only what this script has created is deleted: a slice of this name may be another run's.
tpu create "$name" --accelerator-type="$size" --version="$version" || {
  echo "nothing was deleted; if the creation was under way, look: gcloud compute tpus tpu-vm list --zone=$zone" >&2
  exit 1
}
trap finish EXIT

tpu scp "$archive" "$name:jaxsched.tar.gz" --worker=all
# The image is Ubuntu 22.04, whose Python is too old.
everywhere 'tar xzf jaxsched.tar.gz &&
  curl -LsSf https://astral.sh/uv/install.sh | sh &&
  ~/.local/bin/uv venv --python 3.12 &&
  ~/.local/bin/uv pip install ".[train,tfds]" "jax[tpu]"'
everywhere ".venv/bin/jaxsched train ${*@Q} --distributed"
