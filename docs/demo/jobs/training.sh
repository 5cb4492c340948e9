#!/bin/bash
#SBATCH --job-name=training
#SBATCH --gpus=64
#SBATCH --time=06:00:00
#SBATCH --begin=now+2hours
#SBATCH --deadline=now+24hours
#CSCHED --data-class=internal
#CSCHED --tenant=acme
#CSCHED --countries=DE
#CSCHED --pattern=fsdp
set -euo pipefail

echo "six hours of training, any time after the data is there and before tomorrow"
sleep 21600
