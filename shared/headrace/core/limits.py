"""The numbers of spec section 12, and the bounds of our own extensions. Lengths are in characters."""

IDENTIFIER_LENGTH = 60
TITLE_LENGTH = 100
DESCRIPTION_LENGTH = 1100
CATEGORY_LENGTH = 40
NODES = 100
LINKS = 3

INPUT_NAME_LENGTH = 100
INPUT_TITLE_LENGTH = 140
INPUT_DESCRIPTION_LENGTH = 1000
STEP_TITLE_LENGTH = 25
BUTTON_TEXT_LENGTH = 15
VALIDATIONS = 10
VALIDATION_MESSAGE_LENGTH = 100
PATTERN_LENGTH = 512
INPUT_DEPTH = 32
"""How deep object and array inputs may be nested in each other."""

SCHEDULE_MINUTES = 5
"""The shortest distance between two starts of one schedule."""
MISSED_RUNS = 100
"""So many missed instants of a schedule are made up for at most, the last ones."""

RETRY_ATTEMPTS = 10
RETRY_MULTIPLIER = 10
RETRY_BACKOFF_SECONDS = 86_400
SYNC_TIMEOUT_SECONDS = 300
ASYNC_TIMEOUT_SECONDS = 7 * 86_400
RESPONSE_SECONDS = 90 * 86_400
"""The longest time that people may be given to respond."""
RESPONSE_BYTES = 32_768
"""The inputs of one response; all responses to a node run together may have RENDERED_BYTES."""
DELAY_SECONDS = 366 * 86_400

BODY_BYTES = 1_048_576
JSON_DEPTH = 64
JSON_VALUES = 50_000
JSON_KEY_BYTES = 256
SAFE_INTEGER = 2**53 - 1

RENDERED_BYTES = 262_144
"""The largest config, or set of variables, that templates may make for one node run, written as JSON."""
RENDERED_DEPTH = 128
"""How deep such a value may be nested; messages and stores bear more."""

INPUT_TEXT_LENGTH = 100_000
"""The longest text that one self-serve input may hold."""
INPUT_ITEMS = 10_000
"""The longest array that one self-serve input may hold."""

PROBLEMS = 200
"""So many problems of one document are reported; further ones are only counted."""

FOR_EACH_ITEMS = 10_000
FOR_EACH_BYTES = 1_048_576
"""The largest array of items, written as JSON."""
CONCURRENCY = 100
"""So many child runs of one node run may be at work at once."""
CHILD_INPUT_BYTES = 65_536
"""The largest inputs of a child run, written as JSON: those of all that start together lie in one document."""
CHILD_OUTPUT_BYTES = 65_536
"""What child runs leave is passed on to the parent up to this: of each one, and of all of a FOR_EACH together."""
CHILD_RESULTS = 1_000
"""Of so many child runs the outputs are kept."""
NESTED_RUNS = 10
"""How many runs may have led to a run that starts child runs."""

DEBOUNCE_MIN_SECONDS = 0.1
DEBOUNCE_SECONDS = 86_400
DEBOUNCE_MAX_SECONDS = 604_800
"""How long an event trigger may gather events before it starts a run."""
