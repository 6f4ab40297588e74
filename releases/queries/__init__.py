"""The questions of releases: reads only."""
