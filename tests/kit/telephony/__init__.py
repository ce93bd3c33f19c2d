"""Telephone calls through programs that real systems are made of: SIPp makes and answers them, Kamailio is X and Y."""
