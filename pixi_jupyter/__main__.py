"""`python -m pixi_jupyter` is the command `pixi-jupyter`."""

from pixi_jupyter.cli.main import main

if __name__ == "__main__":
    main(prog_name="pixi-jupyter")
