"""RecEngine: load ratings, train and evaluate recommenders, serve them."""

__version__ = "0.1.0"
