"""Training by several processes at once, on one machine or on many, with checkpoints to go on from."""
