"""MLflow: every run with its settings and scores, and the tags by which a person picks members."""
