"""From a command line to checked cells: composing, values, what fits together. Nothing here imports torch."""
