"""Attacks: what a stranger or a damaged artifact may not do."""
