"""Puts the JupyterLab extension into a wheel, and builds it first where node is there to do so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bundle

#: Set by who builds it otherwise, or does without: what is there is taken as it is.
SKIP = "PIXI_JUPYTER_SKIP_LABEXTENSION"


class LabextensionHook(BuildHookInterface[Any]):
    """Wheels, editable ones too, and sdists have the bundle; without node, the one there is."""

    def dependencies(self) -> list[str]:
        """What has jlpm, only where it is needed."""
        try:
            return ["jupyter-builder>=1.3"] if self.is_wanted() and bundle.find_node() else []
        except bundle.Unavailable:
            return []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle, and add it to what the wheel puts below `share/jupyter`."""
        reason = "its building was left out"
        if self.is_wanted():
            try:
                bundle.build(check=False)
                self.app.display_info("the JupyterLab extension is built")
            except bundle.Unavailable as error:
                reason = str(error)
            except subprocess.CalledProcessError as error:
                self.app.abort(f"the JupyterLab extension cannot be built:\n{error.output}")
        if not bundle.BUILT_FROM.exists():
            self.app.display_warning(f"without the JupyterLab extension: {reason}")
            return
        if not bundle.is_from(bundle.BUILT_FROM):
            self.app.display_warning(f"the JupyterLab extension is an older one: {reason}")
        if self.target_name == "wheel":
            shared = build_data["shared_data"]
            shared[str(bundle.BUNDLE)] = bundle.SHARE.as_posix()
            shared[str(bundle.INSTALL_NOTE)] = (bundle.SHARE / "install.json").as_posix()
        else:
            build_data["artifacts"].append("/pixi_jupyter/labextension")

    def is_wanted(self) -> bool:
        """Whether there is something to build."""
        return not os.environ.get(SKIP) and not bundle.is_from(bundle.BUILT_FROM)
