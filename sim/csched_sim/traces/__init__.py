"""Job traces: one reader for each format, each a generator that counts whatever it drops, cuts or assumes."""
