"""Verdicts told to people and to machines."""
