"""The blog: the built-in site, WordPress and Ghost behind one channel."""
