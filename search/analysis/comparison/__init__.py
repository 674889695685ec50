"""Trials compared with one another: which is better, and whether that can be claimed."""
