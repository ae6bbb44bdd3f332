"""Running the blocks of a network in this process, with BLAS held to one thread."""
