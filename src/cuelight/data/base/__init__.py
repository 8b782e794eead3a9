"""What the formats of data share: data modules, files, splits, fingerprints."""
