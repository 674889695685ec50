"""Comparisons of trials: which is better, and whether that can be claimed."""
