"""Lightning loggers and adapters, one for each tracker."""
