"""The service as Windows knows services. Nothing here runs on another system; pywin32 is needed for most of it."""
