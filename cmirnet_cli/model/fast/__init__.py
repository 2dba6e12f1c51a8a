"""The same network computed faster: modules that take the place of a trained network's own, and what each is worth."""
