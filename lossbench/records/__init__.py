"""What a run leaves behind: records, checkpoints, claims, where its numbers come from."""
