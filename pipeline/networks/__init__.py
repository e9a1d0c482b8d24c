"""Segmentation networks and the auxiliary network.

A base network maps (B, 3, h, w) to scores (B, classes, h, w) at any h and w. `factory.build` makes one by
name and puts the normalisation of images into it, so that what it returns takes uint8 images, or floats on
the same scale of 0 to 255. The auxiliary network maps (B, 3, r, r), likewise, to a sampling tensor.
"""
