"""Where an export is put: through links, never over a mount point, and never over what another export wrote."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emf.export.replacing import replacing
from emf.runtime.errors import UsageError
from tests.entry_points import run
from tests.runtime.artifact.damage import copy_artifact


def write(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text('{"schema_version": 1, "graphs": []}', encoding="utf-8")
    (folder / "who.txt").write_text(text, encoding="utf-8")


def who(folder: Path) -> str:
    return (folder / "who.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_followed(tmp_path: Path, tiny_artifact: Path, exists: bool) -> None:
    store = tmp_path / "store"
    store.mkdir()
    if exists:
        copy_artifact(tiny_artifact, store / "real")
    link = tmp_path / "current"
    link.symlink_to(Path("store") / "real")
    with replacing(link, force=exists) as partial:
        assert partial.parent == store, "a rename does not leave the file system"
        write(partial, "new")
    assert link.is_symlink() and link.readlink() == Path("store") / "real"
    assert who(store / "real") == "new" and [path.name for path in store.iterdir()] == ["real"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "store"]


def test_a_link_needs_force_where_its_folder_does(tmp_path: Path, tiny_artifact: Path) -> None:
    (tmp_path / "link").symlink_to(copy_artifact(tiny_artifact, tmp_path / "real"))
    with pytest.raises(UsageError, match="--force"), replacing(tmp_path / "link", force=False):
        pytest.fail("must not begin")


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(UsageError, match="link to itself"), replacing(tmp_path / "loop", force=True):
        pytest.fail("must not begin")


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("folder", ["/", "/proc"])
def test_a_mount_point_is_refused_before_any_work(folder: str, force: list[str]) -> None:
    done = run("emf-export", "--model", "there-is-none.pt", "--out", folder, *force)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"is a mount point" in done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
def test_a_folder_mounted_within_its_file_system(tmp_path: Path) -> None:
    mounted = tmp_path / "a b"
    mounted.mkdir()
    check = "import sys; from pathlib import Path; from emf.export.replacing import check_replaceable as check\n"
    script = f'mount --bind "$1" "$1" && exec "$2" -c "{check}check(Path(sys.argv[1]), True)" "$1"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(mounted), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "UsageError" not in done.stderr and ("unshare" in done.stderr or "mount:" in done.stderr):
        pytest.skip("this machine mounts nothing")
    assert "is a mount point" in done.stderr


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("exists", [False, True])
def test_the_first_of_two_exports_wins(tmp_path: Path, tiny_artifact: Path, force: bool, exists: bool) -> None:
    out = tmp_path / "out"
    if exists:
        copy_artifact(tiny_artifact, out)
        force = True
    with pytest.raises(UsageError, match="by another export") as caught, replacing(out, force) as slow:
        write(slow, "slow")
        with replacing(out, force) as quick:
            write(quick, "quick")
    assert "\n" not in str(caught.value)
    assert who(out) == "quick" and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_variant_added_meanwhile_is_kept(tmp_path: Path, tiny_artifact: Path) -> None:
    out = copy_artifact(tiny_artifact, tmp_path / "out")
    with pytest.raises(UsageError, match="was changed"), replacing(out, force=True) as partial:
        write(partial, "new")
        (out / "variant").mkdir()
    assert (out / "variant").is_dir() and (out / "manifest.json").is_file()


def test_an_artifact_removed_meanwhile_is_no_hindrance(tmp_path: Path, tiny_artifact: Path) -> None:
    out = copy_artifact(tiny_artifact, tmp_path / "out")
    with replacing(out, force=True) as partial:
        write(partial, "new")
        out.rename(tmp_path / "elsewhere")
    assert who(out) == "new"
