"""The checks in tools/ hold on this tree, and each of them fails on what it is there to refuse."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import check_lengths, check_names, check_texts, sources


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """An empty git checkout to plant files in."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def plant(checkout: Path, path: str, text: str) -> None:
    """Write a file into a checkout; git need not know it yet."""
    file = checkout / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def function_of(lines: int, name: str = "long") -> str:
    """The text of a function that has so many lines."""
    return f"def {name}():\n" + "    pass\n" * (lines - 1)


def test_this_tree_passes_every_check() -> None:
    problems = (
        check_lengths.check(sources.ROOT, check_lengths.EXCEPTIONS)
        + check_names.check(sources.ROOT)
        + check_texts.check(sources.ROOT)
    )

    assert problems == []


def test_what_git_ignores_is_not_looked_at(checkout: Path) -> None:
    plant(checkout, ".gitignore", ".venv/\n")
    plant(checkout, ".venv/utils.py", function_of(1000))
    plant(checkout, "tools/kept.py", "")

    assert sources.python_files(checkout) == [Path("tools/kept.py")]


def test_outside_a_checkout_a_check_fails_rather_than_passing_on_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    with pytest.raises(subprocess.CalledProcessError):
        check_names.check(tmp_path)


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("shared/headrace/core/decide.py", 40),
        ("shared/headrace/runtime/loop.py", 60),
        ("services/api/headrace_api/app.py", 60),
        ("tests/unit/test_x.py", 60),
    ],
)
def test_a_function_may_have_as_many_lines_as_its_floor_allows_and_no_more(
    checkout: Path, path: str, limit: int
) -> None:
    plant(checkout, path, function_of(limit))
    assert check_lengths.check(checkout, {}) == []

    plant(checkout, path, function_of(limit + 1))
    assert check_lengths.check(checkout, {}) == [f"{path}::long: {limit + 1} lines, {limit} are allowed"]


@pytest.mark.parametrize(
    ("path", "limit"),
    [("shared/headrace/core/decide.py", 300), ("shared/headrace/runtime/loop.py", 500), ("tests/unit/test_x.py", 800)],
)
def test_a_module_may_have_as_many_lines_as_its_floor_allows_and_no_more(checkout: Path, path: str, limit: int) -> None:
    plant(checkout, path, "x = 1\n" * limit)
    assert check_lengths.check(checkout, {}) == []

    plant(checkout, path, "x = 1\n" * (limit + 1))
    assert check_lengths.check(checkout, {}) == [f"{path}: {limit + 1} lines, {limit} are allowed"]


def test_methods_async_and_nested_functions_are_counted_too(checkout: Path) -> None:
    method = "class Service:\n" + "".join(f"    {line}\n" for line in function_of(61, "run").splitlines())
    nested = "if True:\n    async def outer():\n        def inner():\n" + "            pass\n" * 60
    plant(checkout, "tools/x.py", method + nested)

    assert check_lengths.check(checkout, {}) == [
        "tools/x.py::Service.run: 61 lines, 60 are allowed",
        "tools/x.py::outer: 62 lines, 60 are allowed",
        "tools/x.py::outer.inner: 61 lines, 60 are allowed",
    ]


def test_a_listed_exception_is_allowed_and_a_stale_one_is_a_problem(checkout: Path) -> None:
    plant(checkout, "tools/x.py", function_of(61))

    assert check_lengths.check(checkout, {"tools/x.py::long": "a table, not logic"}) == []
    assert check_lengths.check(checkout, {"tools/x.py::long": "a table", "tools/gone.py": "it was long"}) == [
        "tools/gone.py: listed as an exception, but it needs none"
    ]


@pytest.mark.parametrize("source", ["", "import os\n", '"""   """\n', "# a comment is no docstring\n"])
def test_a_shipped_module_without_a_docstring_is_refused(checkout: Path, source: str) -> None:
    plant(checkout, "services/api/headrace_api/routes.py", source)
    plant(checkout, "tests/unit/test_x.py", source)

    assert check_names.check(checkout) == ["services/api/headrace_api/routes.py: no module docstring"]


@pytest.mark.parametrize(
    "path",
    [
        "shared/headrace/utils.py",
        "shared/headrace/_helpers.py",
        "shared/headrace/common/__init__.py",
        "services/api/headrace_api/models.py",
        "tools/misc.py",
    ],
)
def test_a_module_named_for_nothing_is_refused(checkout: Path, path: str) -> None:
    plant(checkout, path, '"""Documented."""\n')

    (problem,) = check_names.check(checkout)

    assert problem.startswith(path)


@pytest.mark.parametrize(
    "text",
    [
        "index-url = https://pypi" + ".org/simple",
        "https://files.pythonhosted" + ".org/packages/x.whl",
        "resolved https://registry" + ".npmjs.org/x",
        "<url>https://repo1" + ".maven.org/maven2</url>",
        "cd /home" + "/alice/headrace",
        'path = "/Users' + '/alice/headrace"',
        "see /root" + "/.cache",
        "/work" + "/main/pyproject.toml",
    ],
)
def test_a_registry_host_or_a_path_of_one_machine_is_refused(checkout: Path, text: str) -> None:
    plant(checkout, "docs/page.md", f"First line.\n{text}\n")

    (problem,) = check_texts.check(checkout)

    assert problem.startswith("docs/page.md:2: ")


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/home/page",
        "~/work/headrace",
        "docs/work/x",
        "/home/<you>/headrace",
        "PyPI",
        "/v1/runs/root",
    ],
)
def test_ordinary_texts_are_not_refused(checkout: Path, text: str) -> None:
    plant(checkout, "docs/page.md", text)

    assert check_texts.check(checkout) == []


def test_lock_files_binaries_and_vendored_files_are_left_out(checkout: Path) -> None:
    forbidden = "https://pypi" + ".org/simple"
    plant(checkout, "uv.lock", forbidden)
    plant(checkout, "services/api/headrace_api/static/swagger-ui/x.js", forbidden)
    (checkout / "favicon.png").write_bytes(b"\x89PNG\xff" + forbidden.encode())

    assert check_texts.check(checkout) == []


def test_problems_make_the_exit_status_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert sources.report([], "mend it") == 0
    assert sources.report(["a.py: too long"], "mend it") == 1
    assert capsys.readouterr().out == "a.py: too long\nmend it\n"
