"""What a hosted app needs: identity, limits, logs."""
