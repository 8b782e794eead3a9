"""The steps after a training (test, export, archive, upload) and the record of their outcomes."""
