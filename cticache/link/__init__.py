"""How Redis is reached: its URL, a connection, a cluster, and the embedded server."""
