"""Running cells: built, trained, alone, side by side or stacked, and recorded."""
