#!/bin/sh
# The RUN step of both images, kept in a file so that it can be tried in a fresh virtual environment without an engine.
#   sh docker/install.sh service|worker
set -eu
case "${1:?service or worker}" in
  service)
    pip install --quiet -c constraints.txt '.[server]'
    ;;
  worker)
    pip install --quiet "${TORCH:-torch==2.13.0}"
    pip install --quiet --no-deps "${TORCHVISION:-torchvision==0.28.0}"
    pip install --quiet -c constraints.txt '.[worker]'
    ;;
  *)
    echo "unknown image $1: service or worker" >&2
    exit 2
    ;;
esac
