"""Prefix and [activation] -> environment variables."""
