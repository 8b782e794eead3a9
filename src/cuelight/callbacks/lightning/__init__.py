"""Lightning's callbacks, with parameters that a YAML file can express."""
