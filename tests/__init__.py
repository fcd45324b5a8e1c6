"""Tests mirror the tree; they talk to real things over real sockets."""
