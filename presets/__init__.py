"""Presets: one YAML file per experiment, with a header that says what it is for."""
