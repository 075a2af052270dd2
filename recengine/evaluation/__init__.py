"""Evaluation by full ranking."""
