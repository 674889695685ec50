"""From a finished study to a model that can be used."""
