"""The telephone platforms that call the service: the bytes that each sends, and what each makes of the answer."""
