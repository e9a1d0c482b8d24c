"""An experiment as one file: what a recipe may say, the steps it comes to, and doing them."""
