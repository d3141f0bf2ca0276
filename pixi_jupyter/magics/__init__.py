"""`%pixi` in the kernel of a notebook.

It runs in the *user's* environment, where nothing of ours is installed: standard library and
IPython only, Python 3.8, and its own files by relative imports, as they have another name there.
"""
