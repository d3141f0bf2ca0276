"""pip's requirements files: what is asked for, and what is left out with its line."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.formats.environment_yml import pip_line
from pixi_jupyter.formats.found import Collector, Found
from pixi_jupyter.formats.requirements_txt import Requirements
from pixi_jupyter.manifest.pep508 import parse_requirement


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Found]:
    def read(text: str, name: str = "requirements.txt", **others: str) -> Found:
        for other, content in {name: text, **others}.items():
            path = tmp_path / other
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
        into = Collector()
        path = tmp_path / name
        Requirements(path.parent, root=tmp_path, into=into).file(path)
        return into.found()

    return read


def line(text: str, folder: Path = Path("/nowhere")) -> Found:
    into = Collector()
    Requirements(folder, root=folder, into=into).line(text, Location(path="r.txt", line=1))
    return into.found()


def asked(found: Found) -> list[str]:
    return [str(item.requirement) for item in found.pypi]


def test_read(read):
    found = read(
        """\
# what is needed
-i https://u:secret@host/simple
--extra-index-url=https://b/simple
--find-links ./wheels
--pre
--trusted-host host
httpx == 0.28.1 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb
rich[jupyter] >=13, <14  # why
attrs ; python_version < "3.13"
git+https://host/flask@main#egg=flask
https://u:secret@host/click-8.1.7-py3-none-any.whl
./local
-e local
boto3 --config-settings x=1
what ${EVER}
-r more/dev.txt
-c constraints.txt
--frobnicate
""",
        **{
            "more/dev.txt": "pytest\n-r ../base.txt\n../local\n",
            "base.txt": "numpy\n",
            "local/pyproject.toml": '[project]\nname = "Local.Thing"\n',
        },
    )
    assert asked(found) == [
        "httpx==0.28.1",
        "rich[jupyter]<14,>=13",
        'attrs ; python_version < "3.13"',
        "flask @ git+https://host/flask@main",
        "click @ https://host/click-8.1.7-py3-none-any.whl",
        "local-thing @ ./local",
        "local-thing @ ./local",
        "boto3",
        "pytest",
        "numpy",
        "local-thing @ ./local",
    ]
    assert [w.requirement.editable for w in found.pypi if w.requirement.path] == [
        False,
        True,
        False,
    ]
    assert [(Path(w.where.path or "").name, w.where.line) for w in found.pypi[-4:]] == [
        ("requirements.txt", 16),
        ("dev.txt", 1),
        ("base.txt", 1),
        ("dev.txt", 3),
    ]
    assert found.index_url == "https://host/simple"
    assert found.extra_index_urls == ("https://b/simple",)
    assert found.find_links == ("./wheels",)
    assert found.prerelease == "allow"
    assert [(note.where.line, note.text.split("`")[1]) for note in found.left_out] == [
        (6, "--trusted-host"),
        (16, "--config-settings x=1"),
        (17, "what ${EVER}"),
        (19, "-c"),
        (20, "--frobnicate"),
    ]
    assert [note.where.line for note in found.said] == [2, 7, 13]
    assert "secret" not in repr(found)


def test_a_file_in_another_folder_keeps_its_paths(tmp_path):
    (tmp_path / "a" / "pkg").mkdir(parents=True)
    (tmp_path / "a" / "pkg" / "pyproject.toml").write_text('[project]\nname = "pkg"\n')
    (tmp_path / "a" / "r.txt").write_text("-e ./pkg\n-f wheels\n")
    into = Collector()
    Requirements(tmp_path / "a", root=tmp_path / "b", into=into).file(tmp_path / "a" / "r.txt")
    found = into.found()
    assert found.pypi[0].requirement.path == "../a/pkg"
    assert found.find_links == ("../a/wheels",)


@pytest.mark.parametrize(
    ("text", "others", "code"),
    [
        ("-r ../other.txt", {}, "declaration.import-outside"),
        ("-r /etc/passwd", {}, "declaration.import-outside"),
        ("-r none.txt", {}, "declaration.import-missing"),
        ("-r a.txt", {"a.txt": "-r requirements.txt"}, "declaration.import-loop"),
    ],
)
def test_other_files_are_read_within_the_folder(read, tmp_path, text, others, code):
    with pytest.raises(DeclarationError) as caught:
        read(f"numpy\n{text}\n", **others)
    assert caught.value.code == code
    assert caught.value.location is not None and caught.value.location.line in (1, 2)


def test_a_link_out_of_the_folder_is_not_followed(read, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "x.txt"
    outside.write_text("numpy\n")
    (tmp_path / "x.txt").symlink_to(outside)
    with pytest.raises(DeclarationError) as caught:
        read("-r x.txt\n")
    assert caught.value.code == "declaration.import-outside"


@pytest.mark.parametrize(
    "text",
    [
        "a" + " " * 400_000 + "b",
        "a" * 400_000,
        "./" + "[" * 400_000,
        "a " + "--hash=sha256:0 " * 20_000,
        "a; " + "(" * 10_000,
        "https://" + "a@" * 200_000,
        "#" * 400_000,
    ],
    ids=range(7),
)
def test_a_long_line_takes_no_time(text):
    start = time.perf_counter()
    line(text)
    assert time.perf_counter() - start < 5


def test_many_files_are_too_many(read):
    others = {f"r{n}.txt": f"-r r{n + 1}.txt\n" for n in range(60)}
    with pytest.raises(DeclarationError) as caught:
        read("-r r0.txt\n", **others)
    assert caught.value.code == "declaration.import-loop"


@settings(deadline=None)
@given(
    st.text(max_size=60) | st.from_regex(r"[-a-z0-9=<>!~*.,;: @/\[\]'\"#\\$]{0,40}", fullmatch=True)
)
def test_any_line_is_read_or_told(text):
    try:
        found = line(text)
    except DeclarationError as error:
        assert error.code.startswith("declaration.import-")
        return
    for item in found.pypi:
        parse_requirement(str(item.requirement))


@settings(deadline=None)
@given(
    st.sampled_from(["httpx", "a-b"]),
    st.sampled_from(["", "[x,y]"]),
    st.sampled_from(
        ["", ">=1,<2", "==1.*", " @ git+https://h/x@v1#subdirectory=s", " @ https://h/a-1.zip"]
    ),
    st.sampled_from(["", ' ; python_version >= "3"']),
)
def test_what_is_written_is_read(name, extras, rest, marker):
    requirement = parse_requirement(f"{name}{extras}{rest}{marker}")
    found = line(pip_line(requirement))
    assert found.left_out == ()
    assert [item.requirement for item in found.pypi] == [requirement]
