"""What makes a named, cached result: store, train, tune, compare."""
