"""S-2D-TAN: sparse 2D temporal adjacent networks, the winner of HACS 2019."""
