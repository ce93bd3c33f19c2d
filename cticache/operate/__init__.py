"""For those who run the service: figures, advice, and where a call's data went."""
