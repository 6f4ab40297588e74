"""The verbs of cmdb; every module here is loaded at start, so that its gates and sweeps are registered."""
