"""Who may come in: users, their roles and pools, their passwords. Pure: no HTTP and no Redis."""
