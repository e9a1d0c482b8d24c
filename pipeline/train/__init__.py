"""The PyTorch side: networks, their data from the stores, fitting, evaluation."""
