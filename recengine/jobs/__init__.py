"""Commands as processes: start, follow, cancel."""
