"""Models that read a user's events in order."""
