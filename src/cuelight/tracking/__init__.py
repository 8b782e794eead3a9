"""Where results are sent: one Lightning logger for each tracker that the file asks for."""
