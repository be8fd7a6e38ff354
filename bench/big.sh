#!/bin/bash
# big.sh - create, open and describe the largest dynamic image, 2040 GiB: big.sh TOOLS-FOLDER SCRATCH-FOLDER
# SPDX-License-Identifier: MIT
set -euo pipefail
exec python3 "$(dirname "${BASH_SOURCE[0]}")/run.py" --tools "$1" --dir "$2" --size 1 --rounds 11 big-create big-info
