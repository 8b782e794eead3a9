"""Datasets: one LightningDataModule for each format of files."""
