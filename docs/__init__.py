"""The scripts that make the documentation's site and pictures."""
