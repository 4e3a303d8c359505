"""Data on its way into a training."""
