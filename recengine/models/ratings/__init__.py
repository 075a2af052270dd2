"""Models that predict the rating itself."""
