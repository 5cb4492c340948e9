#!/bin/bash
#SBATCH --job-name=oncology
#SBATCH --gpus=8
#SBATCH --time=00:10:00
#CSCHED --data-class=health
#CSCHED --tenant=hospital
set -euo pipefail

echo "reading scans"
for batch in 1 2 3; do
    sleep 1
    echo "batch $batch of 3 done"
done
