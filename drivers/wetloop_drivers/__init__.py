"""Rigs that Wetloop finds through entry points: one module each; they import ``wetloop.core`` and ``wetloop.kernels``."""
