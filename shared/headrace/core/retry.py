"""When a failed attempt is repeated: a pure function of the policy and the attempt's id."""

from headrace.core import ids
from headrace.core.definition import RetryPolicy

_SPREAD = 0.2


def delay_seconds(
    policy: RetryPolicy, node_run_id: str, attempt: int, retry_after_seconds: float | None
) -> float | None:
    """Seconds from the failure of `attempt` to the next one; None when the policy allows no more.

    The delay grows by the policy's multiplier up to its maximum and is spread by ±20 %, derived from the attempt's id
    so that a repeated decision asks for the same time. A receiver's Retry-After is honoured up to that maximum.
    """
    if attempt >= policy.max_attempts:
        return None
    growth = policy.multiplier ** min(attempt - 1, 64)
    delay = min(policy.backoff_seconds * growth, policy.max_backoff_seconds)
    spread = 1 - _SPREAD + 2 * _SPREAD * ids.fraction("retry", node_run_id, str(attempt))
    waited_for = min(retry_after_seconds or 0.0, policy.max_backoff_seconds)
    return max(delay * spread, waited_for)
