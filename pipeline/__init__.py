"""adaprep: adaptive downsampling near semantic boundaries, from label maps to trained networks."""

from pipeline import numba_cache

numba_cache.prepare()
