"""csched: a carbon- and sovereignty-aware batch scheduler for GPU jobs across European data centres."""

__version__ = "0.1.0"
