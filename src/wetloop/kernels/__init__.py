"""Compiled code: arrays in, arrays out. Nothing here knows of the project's objects.

Rules: no fastmath and no ``np.random`` (a replay must give the same bits on any machine), no allocation per block, libc
by symbol name (a pointer would forbid caching), no array assignments in kernels (each costs up to 2 s of compilation).
"""
