"""What other tools tell of a topology, read into one graph. Every reader is a pure function from text."""
