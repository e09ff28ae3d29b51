"""What a manager takes of one request: its clients cut by it, and it refuses by it. Pure."""

# More than its store takes for one object, and read in a few milliseconds.
LARGEST_BODY = 4 << 20
