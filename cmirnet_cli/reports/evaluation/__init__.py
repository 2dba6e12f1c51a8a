"""Scores as files, tables and a page."""
