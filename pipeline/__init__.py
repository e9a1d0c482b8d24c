"""adaprep: adaptive downsampling near semantic boundaries, from label maps to trained networks."""

from pipeline import moved, numba_cache

moved.install()
numba_cache.prepare()
