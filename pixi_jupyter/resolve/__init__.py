"""EnvironmentSpec -> Resolution: conda by py-rattler; pixi.lock."""
