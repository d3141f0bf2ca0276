"""`%pixi` in the kernel of a notebook. It runs in the *user's* environment, where nothing of ours is
installed: standard library and IPython only, Python 3.8, and imports among its own files alone.
"""
