"""Rigs found through entry points: one module each, importing only ``wetloop.core`` and ``wetloop.kernels``."""
