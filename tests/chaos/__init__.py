"""Kills, freezes and lost answers on real processes; then the ledgers are compared with what was
accepted. Seeds are printed, runs are reproducible in what they break and when."""
