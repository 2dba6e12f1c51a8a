"""A page on this machine to try a model on: images and expressions come from a browser, masks go there; nothing is written to disk."""
