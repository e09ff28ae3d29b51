"""The smallest parts of a stack file's keys: texts, numbers, lists and pairs of them. Pure."""

from swarmpy.stack.shapes import Either, ListOf, MapOf, Nothing, Number, Text, Truth, Whole
from swarmpy.stack.shortforms import split_words
from swarmpy.stack.units import parse_cpus, parse_duration, parse_size

TEXT, WHOLE, NUMBER, TRUTH, NOTHING = Text(), Whole(), Number(), Truth(), Nothing()
TEXTS, SET = ListOf(TEXT), ListOf(TEXT, unique=True)
TEXT_OR_TEXTS = Either((TEXT, TEXTS))
TEXT_OR_SET = Either((TEXT, SET))
COMMAND = Either((Text(reads=split_words), TEXTS))
PAIRS = Either((MapOf(Either((TEXT, NUMBER, TRUTH, NOTHING))), SET))
OPTIONS = MapOf(Either((TEXT, NUMBER, TRUTH)))
DURATION = Text(reads=parse_duration, word="a duration (a string such as 1m30s)")
SIZE = Text(reads=parse_size, word="a size (a string such as 64m)")
CPUS = Text(reads=parse_cpus, word='a number of CPUs (a string such as "0.5")')
SIZE_OR_NUMBER = Either((NUMBER, SIZE))
NAME = r"[a-zA-Z0-9._-]+"
