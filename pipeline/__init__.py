"""adaprep: adaptive downsampling near semantic boundaries, from label maps to trained networks."""
