"""What `doctor` finds out about libraries, machine and runs. Light: imports no torch."""
