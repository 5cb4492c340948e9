"""The core's end of a Slurm site: orders go into a mailbox, news is read from what the agent has reported."""
