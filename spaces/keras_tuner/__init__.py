"""Models written for KerasTuner, read as spaces."""
