"""Files that build on others, and the variables that fill them in."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from swarmpy.cli.stack import stack
from swarmpy.cli.stack_files import Loaded, environment_of, load
from swarmpy.errors import BadRequest
from swarmpy.stack.dotenv import parse_dotenv
from swarmpy.stack.tree import StackError

Files = dict[str, str]


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Writes the files and loads the first, or those named `s*.yaml` in their order."""

    def reads(files: Files, environment: Files | None = None, profiles: tuple[str, ...] = ()) -> Loaded:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return load(
            [str(tmp_path / name) for name in files if name[0] == "s" and "/" not in name], environment or {}, profiles
        )

    return reads


def test_what_a_later_file_resets_or_overrides_is_gone(read: Any) -> None:
    loaded = read(
        {
            "s1.yaml": "services: {web: {image: x, ports: ['80:80'], command: a, environment: {A: 1, B: 2}}}",
            "s2.yaml": "services: {web: {ports: !override ['90:90'], command: !reset null, "
            "environment: {A: !reset null}}}",
        }
    )
    web = loaded.config["services"]["web"]
    assert [port["published"] for port in web["ports"]] == [90]
    assert "command" not in web
    assert web["environment"] == {"B": "2"}


def test_a_service_extends_one_of_its_file_and_of_another(read: Any, tmp_path: Path) -> None:
    loaded = read(
        {
            "s.yaml": "services:\n  base: {image: x, environment: {A: 1}, command: a}\n"
            "  web: {extends: base, environment: {B: 2}, command: !reset null}\n"
            "  far: {extends: {file: sub/other.yaml, service: far}, image: z}\n",
            "sub/other.yaml": "services:\n  far: {extends: near, image: y}\n  near: {volumes: ['./d:/d']}\n",
        }
    )
    services = loaded.config["services"]
    assert services["web"] == {"image": "x", "environment": {"A": "1", "B": "2"}}
    assert services["far"]["image"] == "z"
    assert services["far"]["volumes"][0]["source"] == str(tmp_path / "sub" / "d")
    assert set(services) == {"base", "web", "far"}


def test_an_included_file_starts_at_its_own_folder(read: Any, tmp_path: Path) -> None:
    loaded = read(
        {
            "s.yaml": "include: [sub/a.yaml, {path: b.yaml, env_file: b.env}]\nservices: {web: {image: '$A'}}",
            "sub/a.yaml": "services: {db: {image: x, volumes: ['./d:/d']}}\nvolumes: {v: {}}",
            "b.yaml": "services: {cache: {image: '$A'}}",
            "b.env": "A=inner",
        },
        {},
    )
    services = loaded.config["services"]
    assert services["db"]["volumes"][0]["source"] == str(tmp_path / "sub" / "d")
    assert services["cache"]["image"] == "inner"
    assert "the variable A is not set and became empty" in loaded.warnings
    assert "v" in loaded.config["volumes"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"s.yaml": "include: [s.yaml]"}, "include[0]: names itself in a circle: s.yaml -> s.yaml"),
        ({"s.yaml": "include: [a.yaml]", "a.yaml": "include: [./s.yaml]"}, "in a circle: s.yaml -> a.yaml -> s.yaml"),
        ({"s.yaml": "include: [none.yaml]"}, "s.yaml:1: include[0]: "),
        ({"s.yaml": "include: [a.yaml]\nservices: {web: {image: x}}", "a.yaml": "services: {web: {image: y}}"},
         "s.yaml:2: services.web: is in an included file as well"),
        ({"s.yaml": "services: {web: {extends: web}}"}, "services.web.extends: the service web extends itself"),
        ({"s.yaml": "services: {web: {extends: db}}"}, "services.web.extends: there is no service db in "),
        ({"s.yaml": "services: {web: {extends: {service: a, file: none.yaml}}}"}, "services.web.extends: "),
        ({"s.yaml": "services: {a: {depends_on: [b]}, b: {depends_on: [a]}}"}, "waits for itself: a -> b -> a"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_refused_by_name(read: Any, files: Files, sentence: str) -> None:
    with pytest.raises(StackError) as caught:
        read(files)
    assert sentence in str(caught.value)


def test_services_of_profiles_are_left_out_with_a_word_unless_wished_for(read: Any) -> None:
    files = {"s.yaml": "services: {web: {image: x}, debug: {image: y, profiles: [dev, ops], volumes_from: [web]}}"}
    loaded = read(files)
    assert set(loaded.config["services"]) == {"web"}
    (warning,) = loaded.warnings
    assert "services.debug: left out: it belongs to the profile dev and ops; take it in with --profile dev" in warning
    assert "volumes_from" not in str(loaded.trees)
    for profile in ("ops", "*"):
        assert set(read(files, {}, (profile,)).config["services"]) == {"web", "debug"}


def test_a_profile_is_named_as_a_shell_takes_it_and_an_unknown_one_is_told(read: Any) -> None:
    files = {"s.yaml": "services: {web: {image: x}, debug: {image: y, profiles: [a b, c]}}"}
    assert read(files).warnings[0].endswith("take it in with --profile 'a b'")
    assert read(files, {}, ("typo", "c")).warnings == (
        "--profile typo: no service belongs to such a profile; there are a b, c",
    )
    assert read({"s.yaml": "services: {web: {image: x}}"}, {}, ("typo", "*")).warnings == (
        "--profile typo: no service belongs to such a profile; the files name none",
    )


def test_a_file_of_variables_counts_less_than_the_environment(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("A=1\nB=1\nC=1\n")
    (tmp_path / "two").write_text("B=2\nC=2\n")
    files = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert environment_of(files, {"C": "3"}) == {"A": "1", "B": "2", "C": "3"}
    with pytest.raises(BadRequest) as caught:
        (tmp_path / "bad").write_text("word hush\n")
        environment_of([str(tmp_path / "bad")], {})
    assert str(caught.value).endswith("bad: line 1 is no NAME=value")


def test_a_file_of_variables_beside_the_stack_file_is_named_and_not_read(read: Any) -> None:
    loaded = read({"s.yaml": "services: {web: {image: 'x:$TAG', user: '${U:-$USER_ID}'}}", ".env": "TAG=1\n"})
    assert loaded.config["services"]["web"]["image"] == "x:"
    assert loaded.config["services"]["web"]["user"] == "$USER_ID"
    first, second = loaded.warnings
    assert first.startswith("the variable TAG is not set and became empty; ")
    assert "sets it and is not read: give --env-file " in first
    assert second == "the variable USER_ID is not set and $USER_ID was left as it stands"


def test_a_demanded_variable_of_such_a_file_is_pointed_to(read: Any) -> None:
    with pytest.raises(StackError) as caught:
        read({"s.yaml": "services: {web: {image: 'x:${TAG:?which}'}}", ".env": "TAG=1\n"})
    assert ".env sets TAG and is not read: give --env-file " in str(caught.value)
    assert "s.yaml:1: services.web.image: the variable TAG must have a value: which" in str(caught.value)


def test_a_demanded_variable_of_an_included_file_is_pointed_to(read: Any) -> None:
    with pytest.raises(StackError) as caught:
        read(
            {
                "s.yaml": "include: [sub/a.yaml]",
                "sub/a.yaml": "services: {web: {image: 'x:${TAG:?which}'}}",
                ".env": "TAG=1\n",
            }
        )
    assert ".env sets TAG and is not read: give --env-file " in str(caught.value)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b c", "b c"),
        ("export A = b # word", "b"),
        ("A='b $c # d'", "b $c # d"),
        ('A="b\\n\\"c\\""  # word', 'b\n"c"'),
        ("A=", ""),
        ("A=b#c", "b#c"),
    ],
)
def test_a_line_of_variables(line: str, value: str) -> None:
    assert parse_dotenv(f"# word\n\n{line}\n") == {"A": value}


@pytest.mark.parametrize("line", ["word", "A B=1", "A='open", "=x"])
def test_a_line_that_is_none_is_refused_without_its_value(line: str) -> None:
    with pytest.raises(ValueError, match="line 1 "):
        parse_dotenv(line)


def test_the_command_takes_variables_and_profiles(tmp_path: Path) -> None:
    (tmp_path / "v").write_text("TAG=7\n")
    (tmp_path / "s.yaml").write_text("name: n$TAG\nservices: {web: {image: 'x:$TAG'}, b: {image: y, profiles: [p]}}\n")
    words = ["config", "-c", str(tmp_path / "s.yaml"), "--env-file", str(tmp_path / "v"), "--format", "json"]
    plain, whole = (CliRunner().invoke(stack, [*words, *more]) for more in ([], ["--profile", "p"]))
    assert plain.exit_code == whole.exit_code == 0
    assert json.loads(plain.stdout)["services"] == {"web": {"image": "x:7"}}
    assert "left out: it belongs to the profile p" in plain.stderr
    assert json.loads(whole.stdout)["name"] == "n7"
    assert set(json.loads(whole.stdout)["services"]) == {"web", "b"}


def test_an_env_file_of_an_include_is_found_from_the_including_file(read: Any, tmp_path: Path) -> None:
    files = {
        "s.yaml": "include: [{path: sub/a.yaml, env_file: vars.env}]\nservices: {}",
        "sub/a.yaml": "services: {db: {image: '$A'}}",
        "sub/vars.env": "A=wrong",
        "vars.env": "A=right",
    }
    assert read(files).config["services"]["db"]["image"] == "right"

    (tmp_path / "vars.env").unlink()
    with pytest.raises(StackError) as caught:
        load([str(tmp_path / "s.yaml")], {})
    tried = tmp_path / "vars.env"
    assert str(caught.value).endswith(f"s.yaml:1: include[0].env_file: {tried}: No such file or directory")


def test_values_of_an_env_file_are_not_expanded() -> None:
    assert parse_dotenv("A=$B\nC='$B x'\nD=\"\\$B\"") == {"A": "$B", "C": "$B x", "D": "$B"}
