"""What developers run beside the package; nothing of it is installed."""
