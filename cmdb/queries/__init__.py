"""The questions that others ask about what we have; frozen answers, fixed numbers of queries."""
