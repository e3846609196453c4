"""The pure part: what is true, what may be done, in which order. No Django, no I/O; the clock is an argument."""
