"""Lightning's own callbacks, with parameters that a YAML file can express."""
