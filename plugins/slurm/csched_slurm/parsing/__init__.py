"""What Slurm prints and sends, read into csched_slurm.cluster's values. Pure: text in, values out.

JSON comes in two shapes: Slurm 22.05 writes plain numbers (v0.0.38), from 23.11 on a number may be an object that says
whether it is set (v0.0.40 and later). Both are read by the same functions. Whatever is not understood raises
`Unreadable`: a transport then has no answer, rather than half of one.
"""
