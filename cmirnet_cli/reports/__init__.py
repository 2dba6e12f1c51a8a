"""Tables, overlays and pages for people to look at."""
