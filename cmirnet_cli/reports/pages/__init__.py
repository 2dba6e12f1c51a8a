"""HTML pages of cards: what they show as plain data, and the templates that draw it."""
