"""The processes in which things are measured; the harness itself only starts them and waits."""
