"""What is told of requests: their ids, and of those refused a line in the log and a count."""
