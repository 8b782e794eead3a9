"""Where a run comes from: code, packages, machine; each as far as it can be told, and without secrets."""
