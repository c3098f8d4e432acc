"""Commands: one file for each, and what all of them share."""
