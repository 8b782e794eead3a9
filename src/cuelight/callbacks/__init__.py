"""When things happen: each callback is a few hooks, and works in any Trainer of Lightning's."""
