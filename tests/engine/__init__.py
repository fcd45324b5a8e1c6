"""The delivery engine on real databases, against practice platforms."""
