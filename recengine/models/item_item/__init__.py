"""Item-item models: a score is a weighted sum over the user's history."""
