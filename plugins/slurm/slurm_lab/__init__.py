"""Real Slurm on one machine, for tests and for trying csched out: see docs/slurm-lab.md.

Three independent clusters of Debian's Slurm with fake GB200 nodes, their accounting, and a fourth of a newer Slurm.
"""
