"""The program that a scanner runs on a host: standard library only, Python 3.6 and later, read-only.

It reports the package manager's own words. A part that fails is a line in `errors`; the rest is reported.
"""
