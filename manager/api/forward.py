"""Passes operators' calls on to the leader."""

NOT_LEADING_HEADER = "Swarmpy-Not-Leading"
