"""What several tests need: tiny data and a tiny model, both real."""
