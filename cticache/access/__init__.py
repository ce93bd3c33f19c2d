"""Who may come in, and from where: users with their roles, pools and passwords; addresses. No HTTP and no Redis."""
