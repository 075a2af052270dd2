"""Drawn posters."""
