"""Files, signals, secrets and GPUs: what needs no other room."""
