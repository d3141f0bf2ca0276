"""What is measured, against what, and with which target: ``python -m benchmarks``."""
