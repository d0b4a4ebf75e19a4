"""Annotations, video reading, the generated demo set, and all arithmetic between time and snippets."""
