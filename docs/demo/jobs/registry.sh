#!/bin/bash
#SBATCH --job-name=registry
#SBATCH --gpus=2
#SBATCH --time=01:00:00
#CSCHED --data-class=health
#CSCHED --tenant=stat-office
#CSCHED --countries=DE
set -euo pipefail

echo "this never runs: health data must stay in France, and the user allows only Germany"
