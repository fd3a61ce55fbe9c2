"""Holds the folder that stands in for the vendor's package; put this folder on the path of a script."""
