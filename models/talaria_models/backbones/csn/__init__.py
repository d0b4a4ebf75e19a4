"""Channel-separated networks: 3-D convolutions inside channels, 1 x 1 x 1 ones between them."""
