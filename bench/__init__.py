"""Benchmarks: what is measured is printed, and kept with how it was measured."""
