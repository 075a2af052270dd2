"""Models that learn from one event at a time."""
