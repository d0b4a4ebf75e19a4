"""One loop for every model, on Ray Train."""
