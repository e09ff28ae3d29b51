import pytest

from swarmpy.errors import BadRequest
from swarmpy.tokens import JoinToken, ca_digest, host_of, parse_address, parse_join, parse_token, port_of

DIGEST = ca_digest(b"some certificate")
TOKEN = JoinToken(DIGEST, "0123456789abcdefghijklmno")


def test_a_token_is_read_back_as_it_was_written() -> None:
    assert parse_token(str(TOKEN)) == TOKEN
    assert len(DIGEST) == 50


def test_a_join_wish_names_the_manager_and_fills_in_the_port() -> None:
    assert parse_join(f"{TOKEN}@10.0.0.1").manager == "10.0.0.1:2377"
    assert parse_join(f" {TOKEN}@[fd00::1]:4000\n").manager == "[fd00::1]:4000"


@pytest.mark.parametrize(
    "text", ["", "x", f"{TOKEN}", f"{TOKEN}@", f"{TOKEN}@a:0", f"{TOKEN}@a:b", f"{TOKEN}x@a", "a@b"]
)
def test_what_is_no_wish_to_join_is_refused_without_its_secret(text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_join(text)
    assert TOKEN.secret not in str(refusal.value)


def test_the_secret_is_not_shown_by_accident() -> None:
    assert TOKEN.secret not in repr(parse_join(f"{TOKEN}@a"))


@pytest.mark.parametrize(
    ("text", "address"),
    [("h", "h:1"), ("h:2", "h:2"), ("[::1]", "[::1]:1"), ("[::1]:2", "[::1]:2"), ("10.0.0.1", "10.0.0.1:1")],
)
def test_an_address_gets_its_port(text: str, address: str) -> None:
    assert parse_address(text, "--x", 1) == address


@pytest.mark.parametrize("text", ["", ":1", "a:", "a:70000", "::1", "a b", "http://a", "a/b"])
def test_what_is_no_address_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(BadRequest, match="--advertise-address"):
        parse_address(text, "--advertise-address", 1)


@pytest.mark.parametrize(
    "text",
    ["a#b", "a?b", "bücher", "a:\N{ARABIC-INDIC DIGIT ONE}", "a%b", "[1:2]", "[::1%eth0]", "[:::]", "x" * 254, "a\n"],
)
def test_what_could_mean_something_else_in_a_url_is_no_address(text: str) -> None:
    with pytest.raises(BadRequest, match="--advertise-address"):
        parse_address(text, "--advertise-address", 1)


def test_an_address_is_taken_apart() -> None:
    assert (host_of("[fd00::1]:2377"), port_of("[fd00::1]:2377")) == ("fd00::1", 2377)
