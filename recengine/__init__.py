"""RecEngine: load ratings, train and evaluate recommenders, serve them."""

import os

# Before PyTorch starts its threads: on a busy machine, threads that spin while they wait take whole seconds away.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
