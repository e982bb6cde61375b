"""What a command line may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.commands.inputs import UsageError, find_inputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", ".c.jpg", "deep/a.png", "deep/er/d.webp", ".git/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def targets(*arguments: object, recursive: bool = False) -> list[str]:
    return [str(i.target) for i in find_inputs([str(a) for a in arguments], recursive=recursive)]


def test_a_folder_gives_its_images_by_name(folder: Path) -> None:
    assert targets(folder) == ["a", "b"]
    assert targets(folder, recursive=True) == ["a", "b", "deep/a", "deep/er/d"]


def test_patterns(folder: Path) -> None:
    assert targets(folder / "*.jpg") == ["b"]
    assert targets(folder / "**" / "*.[wp]*") == ["a", "d"]
    (folder / "odd[1].jpg").touch()
    assert targets(folder / "odd[1].jpg") == ["odd[1]"]
    with pytest.raises(UsageError, match=r"no file matches .*\*\.bmp"):
        find_inputs([str(folder / "*.bmp")], recursive=False)


def test_an_image_is_taken_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert targets("b.jpg", folder, "./b.jpg", "-", "-") == ["b", "a", "stdin"]


def test_results_are_kept_apart(folder: Path) -> None:
    assert targets(folder / "a.PNG", folder / "deep" / "a.png") == ["a", "deep/a"]
    (folder / "b.png").touch()
    (folder / "B.webp").touch()
    assert targets(folder) == ["B.webp", "a", "b.jpg", "b.png"]
    (folder / "b.jpg.gif").touch()
    with pytest.raises(UsageError, match=r"b\.jpg and .*b\.jpg\.gif would share the results b\.jpg\.\*"):
        targets(folder)


def test_a_folder_without_images(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(UsageError, match=r"has no image; --recursive looks into its folders"):
        targets(folder / "empty")
