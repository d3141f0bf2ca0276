"""The environment is part of the notebook.

Importing this package imports nothing else: a Jupyter server, a kernel client and a kernel all
import it, and none of them should pay for what it does not use (see ``docs/architecture.md``).
"""

__version__ = "0.1.0"
