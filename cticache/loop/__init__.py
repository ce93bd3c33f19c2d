"""The loop that serves a burst in one round trip: waitress on it, Redis as one of its sockets, worker processes."""
