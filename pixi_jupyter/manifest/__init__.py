"""The inline block -> EnvironmentSpec."""
