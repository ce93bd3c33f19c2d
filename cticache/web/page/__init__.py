"""The operator's page: HTML that is complete as it comes, and a script that keeps it up to date."""
