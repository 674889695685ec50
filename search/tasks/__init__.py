"""What outputs mean, and the scores that come of predictions."""
