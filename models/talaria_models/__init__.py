"""Models for temporal action localization in pure PyTorch: no Ray, no MLflow, no platform."""
