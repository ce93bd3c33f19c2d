"""Plays System X and System Y against a running service, over the network, with callers that do not exist."""
