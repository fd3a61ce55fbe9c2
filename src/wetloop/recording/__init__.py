"""One NWB (HDF5) file per session: written while it runs, read back lazily."""
