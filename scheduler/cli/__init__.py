"""The command line: `run` and its roles here, everything else through the HTTP API."""
