"""The audience: people we may write to, the proof of it, and those we may not."""
