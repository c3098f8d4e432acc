"""The search for a loss within a family, held against known losses that were searched as long, on fresh seeds."""
