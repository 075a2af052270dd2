"""Losses, configurations and the one training loop."""
