"""Advice from a look at the data: what is found in them, and which losses and metrics that speaks for."""
