"""Model functions in the manner of KerasTuner's and Keras's public examples, with small data."""
