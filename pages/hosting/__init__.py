"""What a hosted app needs: the identity of a visitor, limits on their requests, and a log without personal data."""
