"""`make bench`: every figure of the engine beside its limit, in one run; asserts nothing."""

from __future__ import annotations

from tests.bench import api, scale, spike


def main() -> None:
    """Spike and light load on both databases, the API, then what grows with the rows; one JSON
    line a figure."""
    spike.main(["--what", "light", "--runs", "3"])
    spike.main(["--what", "spike", "--runs", "3"])
    api.main([])
    scale.main([])


if __name__ == "__main__":
    main()
