"""The parts of the practice Facebook; `channels.facebook.sandbox` puts them together."""
