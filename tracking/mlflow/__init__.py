"""A study's records shown in MLflow: the one room that imports it."""
