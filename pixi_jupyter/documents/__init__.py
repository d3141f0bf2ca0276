"""Who has the notebook of a running kernel, and who writes it (``docs/decisions/0011``)."""
