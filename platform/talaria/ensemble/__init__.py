"""Members picked in MLflow, fused with weights that are learned on validation videos."""
