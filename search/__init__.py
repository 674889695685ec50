"""The harness: folds, drivers, executors, the study loop and the command line."""
