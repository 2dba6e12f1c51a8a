"""What every HTML page is made of: frame, style, script, cards, gallery."""
