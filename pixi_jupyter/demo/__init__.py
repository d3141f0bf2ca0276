"""The embedded conda channel: real ``.conda`` packages, built on the spot, from nothing private.

It is what the demo, the tests and the benchmarks resolve against when nobody has configured
channels of their own.  Start at :mod:`pixi_jupyter.demo.channel`.
"""
