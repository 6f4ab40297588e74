"""The verbs of releases, one module per aggregate."""
