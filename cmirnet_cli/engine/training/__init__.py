"""The training loop, the run directory that it writes, and all that resuming needs."""
