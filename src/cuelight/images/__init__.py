"""Images: their preprocessing, and what pictures share."""
