"""Carbon intensity of the grid: where it comes from, and what is said where there is none."""
