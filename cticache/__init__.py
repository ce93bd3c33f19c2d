"""Hands a caller's data from one telephone system to another that shares nothing with it but the phone network."""
