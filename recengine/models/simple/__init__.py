"""Models that count or compare: baselines, content-based, demographic, contextual."""
