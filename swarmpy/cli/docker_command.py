"""A command that takes truths as docker's do: `--tty` alone or `--tty=false`, never `--tty false`. Owns no options."""

from collections.abc import Iterator
from typing import Any

import click


class DockerCommand(click.Command):
    """`truths` are names of options, without dashes, that may stand without a value, which is then true."""

    def __init__(self, *arguments: Any, truths: frozenset[str], **given: Any) -> None:
        super().__init__(*arguments, **given)
        options = [option for option in self.params if isinstance(option, click.Option)]
        named = [option for option in options if option.opts[0].lstrip("-") in truths]
        # Each word by the long one, which takes a value behind its =.
        self._truths = {word: option.opts[0] for option in named for word in option.opts}
        self._valued = {word for option in options if option not in named for word in option.opts}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(self._spelled_out(args, ctx.allow_interspersed_args)))

    def _spelled_out(self, arguments: list[str], interspersed: bool) -> Iterator[str]:
        words = iter(arguments)
        for word in words:
            letters = [f"-{letter}" for letter in word[1:]]
            if word == "--" or (not word.startswith("-") and not interspersed):
                yield word
                break
            if word in self._truths:
                yield f"{self._truths[word]}=true"
            elif len(letters) > 1 and all(letter in self._truths for letter in letters):
                yield from (f"{self._truths[letter]}=true" for letter in letters)
            elif word[:3] in {f"{short}=" for short in self._truths}:
                yield f"{self._truths[word[:2]]}{word[2:]}"
            else:
                yield word
                if word in self._valued:
                    # Its value, which may look like an option itself.
                    yield from _at_most_one(words)
        yield from words


def _at_most_one(words: Iterator[str]) -> Iterator[str]:
    for word in words:
        yield word
        return
