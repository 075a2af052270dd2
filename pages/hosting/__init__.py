"""What a hosted app needs: who a visitor is, how much they may ask for, and a log without personal data."""
