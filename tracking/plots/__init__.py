"""Pictures by Matplotlib: of trials, and the style that all pictures share."""
