"""What the command line and the app need around a model: store, posters, reasons, search."""
