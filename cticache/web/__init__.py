"""HTTP: routes, what a client may send, who may call, what is answered, and the audit."""
