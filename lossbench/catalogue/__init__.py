"""The losses as a catalogue: facts, binding to a run, sums of losses, examination, curves, gallery."""
