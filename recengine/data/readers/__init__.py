"""Readers: one file for each source or format."""
