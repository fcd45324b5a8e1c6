"""A webhook: signed JSON to an address of the owner's, for everything else."""
