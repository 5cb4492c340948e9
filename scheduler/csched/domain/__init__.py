"""The values csched thinks in: frozen, validated, without I/O, solver or SQL."""
