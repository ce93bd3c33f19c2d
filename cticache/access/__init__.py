"""Who may come in: users with their roles, pools and passwords. Pure: no HTTP and no Redis."""
