"""Images wherever they lie."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.commands.inputs import UsageError
from service.images.header import ImageError
from service.scale.sources import SourceImage, images_of, plan_shards

MAX_BYTES = 10


def plan(*sources: object, shard_size: int = 100, column: str = "image") -> list[list[str]]:
    return [[unit.uri for unit in shard] for shard in plan_shards([str(s) for s in sources], shard_size, column)]


def read(*sources: object, column: str = "image") -> dict[str, bytes | str]:
    """Return the bytes by name, or what is wrong with an image."""
    images = [
        image
        for shard in plan_shards([str(s) for s in sources], 100, column)
        for image in images_of(shard, column, MAX_BYTES)
    ]
    assert len({image.name for image in images}) == len(images)
    return {image.name: _read(image) for image in images}


def _read(image: SourceImage) -> bytes | str:
    try:
        return image.read()
    except (ImageError, OSError) as error:
        return str(error)


def tar(path: Path, files: Sequence[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_folders_and_patterns_give_each_image_once_sorted_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "a.JPG", "notes.txt", ".hidden.png", ".cache/3.png", "b/1.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    whole = [str(tmp_path / name) for name in ("a.JPG", "b/1.webp", "b/2.jpg")]
    assert plan(tmp_path) == [whole]
    assert plan(tmp_path, shard_size=2) == [whole[:2], whole[2:]]
    assert plan(tmp_path / "b" / "*.jpg", tmp_path) == [[whole[2], *whole[:2]]]
    assert read(tmp_path / "a.JPG") == {whole[0]: b"x"}


@pytest.mark.parametrize("name", ["none.jpg", "*.jpg", "."])
def test_a_source_without_images_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"does not exist|no file matches|neither images"):
        plan(tmp_path / name)


def test_an_image_that_cannot_be_read_is_told_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(b"x" * (MAX_BYTES + 1))
    (tmp_path / "gone.jpg").write_bytes(b"x")
    shard = next(plan_shards([str(tmp_path)], 100, "image"))
    (tmp_path / "gone.jpg").unlink()
    gone, large = [_read(image) for image in images_of(shard, "image", MAX_BYTES)]
    assert "No such file" in str(gone)
    assert "larger than 10 bytes" in str(large)


def test_a_tar_is_a_shard_and_its_members_are_images(tmp_path: Path) -> None:
    files = [("x/1.jpg", b"one"), ("x/1.json", b"{}"), ("x/._1.jpg", b"mac"), ("2.png", b"y" * 11), ("3.png", b"three")]
    path = tar(tmp_path / "set-0.tar", files)
    found = read(path)
    assert list(found) == [f"{path}/{name}" for name in ("x/1.jpg", "2.png", "3.png")]
    assert (found[f"{path}/x/1.jpg"], found[f"{path}/3.png"]) == (b"one", b"three")
    assert "larger than 10 bytes" in str(found[f"{path}/2.png"])


def test_a_tar_that_ends_early_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    path = tar(tmp_path / "set.tar", [("1.jpg", b"one"), ("2.jpg", b"two")])
    path.write_bytes(path.read_bytes()[: 3 * 512 + 1])  # within the second image
    found = read(path)
    assert found[f"{path}/1.jpg"] == b"one"
    assert "cannot be read on" in str(found[str(path)])


def hugging_face(data: Sequence[bytes | None]) -> pa.Array:
    return pa.array([None if d is None else {"bytes": d, "path": None} for d in data])


@pytest.mark.parametrize("column", [pa.array, hugging_face])
def test_a_row_group_is_a_shard_and_its_rows_are_images(
    tmp_path: Path, column: Callable[[Sequence[bytes | None]], pa.Array]
) -> None:
    path = tmp_path / "set.parquet"
    pq.write_table(pa.table({"n": [1, 2, 3], "image": column([b"a", None, b"c"])}), path, row_group_size=2)
    assert plan(path) == [[str(path)], [str(path)]]
    found = read(path)
    assert list(found) == [f"{path}#{row}" for row in range(3)]
    assert (found[f"{path}#0"], found[f"{path}#2"]) == (b"a", b"c")
    assert found[f"{path}#1"] == "there is no image file"


def test_a_parquet_file_without_the_column_is_refused_with_the_names_it_has(tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    pq.write_table(pa.table({"n": [1], "photo": [b"a"]}), path)
    with pytest.raises(UsageError, match=r"no column 'image' .* of n, photo"):
        plan(path)
    with pytest.raises(UsageError, match="no column 'n'"):
        plan(path, column="n")
    assert read(path, column="photo") == {f"{path}#0": b"a"}


def test_an_object_store_is_read_by_its_uri() -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/set/1.jpg", b"one")
    try:
        assert list(read("memory://set").values()) == [b"one"]
    finally:
        store.rm("/set", recursive=True)
