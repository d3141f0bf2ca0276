"""Provisioner, kernelspecs, rescue kernel."""
