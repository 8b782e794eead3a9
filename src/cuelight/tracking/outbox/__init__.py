"""What waits to be sent to a tracker, and the threads that send it."""
