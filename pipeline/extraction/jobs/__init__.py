"""Whole runs of stage one."""
