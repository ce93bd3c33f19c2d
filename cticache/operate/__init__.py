"""For whoever runs it: figures, advice, and where a call's data went."""
