"""What `cmirnet doctor` examines: installation, machine, data, caches, runs. No other room knows of it. Light: imports no torch."""
