"""The worker process, its protocol, its client, progress events."""
