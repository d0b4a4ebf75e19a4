"""The recipe: one typed schema, YAML and --set, readable errors, fingerprints."""
