"""What says where an image is sampled: one object a sampler. No other module compares their names."""
