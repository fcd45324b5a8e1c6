"""The parts of the practice Messenger; `channels.messenger.sandbox` puts them together."""
