"""Models written for KerasTuner, as spaces."""
