"""Base classes and checks that several callbacks share."""
