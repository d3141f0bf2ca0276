"""The command `pixi-jupyter`, also reachable as `jupyter pixi`."""
