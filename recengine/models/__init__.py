"""The recommenders: one file a family, listed in `registry`."""
