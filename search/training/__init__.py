"""What happens in a worker: one fold is trained, with TensorFlow."""
