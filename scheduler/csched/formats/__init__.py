"""Files in, values out: every mistake gets its file, line, field and what was expected."""
