"""Generated contract."""
