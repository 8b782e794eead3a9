"""Where a run comes from: code, packages and machine, without secrets."""
