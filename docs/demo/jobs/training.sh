#!/bin/bash
#SBATCH --job-name=training
#SBATCH --gpus=64
#SBATCH --time=06:00:00
#SBATCH --deadline=now+24hours
#CSCHED --data-class=internal
#CSCHED --tenant=acme
#CSCHED --countries=DE|IT
#CSCHED --pattern=fsdp
set -euo pipefail

echo "six hours of training, any time before tomorrow"
sleep 21600
