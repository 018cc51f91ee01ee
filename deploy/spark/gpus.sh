#!/usr/bin/env bash
# Prints which GPUs a host has: the discovery script of spark.{worker,executor}.resource.gpu.
set -euo pipefail
addresses=$(nvidia-smi --query-gpu=index --format=csv,noheader | sed 's/.*/"&"/' | paste -sd, -)
echo "{\"name\": \"gpu\", \"addresses\": [$addresses]}"
