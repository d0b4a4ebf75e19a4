"""One module per family of goldens; see tests/reference/test_goldens.py."""
