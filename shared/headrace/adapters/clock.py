"""The only wall clock, and its neighbour: the only source of random ids."""

import secrets
import time


class SystemClock:
    """The Clock port on the machine's own clocks."""

    def now(self) -> int:
        """Wall time: milliseconds since the Unix epoch, UTC. It may jump when somebody sets the clock."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never go back, for measuring spans; the zero point means nothing."""
        return time.monotonic()


def random_id() -> str:
    """32 hexadecimal characters that nobody can guess. For things without a cause to derive an id from."""
    return secrets.token_hex(16)
