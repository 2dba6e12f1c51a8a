"""The plain way and ours, side by side: one module for each `cmirnet benchmark`, and what they time with."""
