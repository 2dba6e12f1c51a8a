"""The plain way and ours, side by side: one module for each `cmirnet benchmark`, what they time with, and what a model costs."""
