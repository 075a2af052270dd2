"""Networks that score a (user, item) pair, trained on sampled negatives."""
