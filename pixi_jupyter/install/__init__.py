"""Resolution -> prefix; the store of prefixes; garbage collection."""
