from collections import Counter

import pytest
from helpers_import import (
    PLAIN,
    SPACED,
    csv_source,
    imported,
    refused,
    save_image,
    splits_of,
    write_csv,
)

from scripts import import_points
from src.annotations.splits import draw_splits


def test_a_list_says_which_image_is_what(photos, tmp_path, capsys):
    write_csv(photos)
    listed = tmp_path / "splits.csv"
    listed.write_text(f"split;image\ntest;{SPACED}\ntrain;plain\n", encoding="utf-8")
    output = imported(capsys, photos, "-o", tmp_path / "own", "--splits", listed)
    assert splits_of(tmp_path / "own") == {PLAIN: "train", SPACED: "test"}
    assert "Left out  1 annotated images that --splits does not list\n" in output
    for row, words in {
        "spare.png,train": "'spare.png' in line 2, which is not an annotated image",
        "plain.png,exam": "the split 'exam' in line 2; expected one of train, val, test",
        "plain.png,val\nplain,val": "lists 'plain' twice, again in line 3",
    }.items():
        listed.write_text(f"image,split\n{row}\n", encoding="utf-8")
        assert words in refused(capsys, photos, "-o", tmp_path / "other", "--splits", listed)
    listed.write_text("plain.png,val\n", encoding="utf-8")
    assert "has no column image" in refused(capsys, photos, "-o", tmp_path / "other", "--splits", listed)


def test_random_splits_depend_on_the_seed_alone():
    groups = {f"{i:03d}": f"{i:03d}" for i in range(100)}
    first = draw_splits(groups, val=0.1, test=0.25, seed=3)
    assert Counter(first.values()) == {"train": 65, "val": 10, "test": 25}
    assert draw_splits(dict(reversed(groups.items())), val=0.1, test=0.25, seed=3) == first
    assert draw_splits(groups, val=0.1, test=0.25, seed=4) != first
    assert Counter(draw_splits(groups, val=7, test=1, seed=0).values()) == {"train": 92, "val": 7, "test": 1}
    assert set(draw_splits(groups, val=0, test=0, seed=0).values()) == {"train"}


def test_groups_stay_together():
    groups = {f"v{i % 7}_{i:03d}": f"v{i % 7}" for i in range(140)}
    splits = draw_splits(groups, val=0.15, test=0.3, seed=1)
    assert Counter(splits.values()) == {"train": 80, "val": 20, "test": 40}
    assert len({(groups[image], split) for image, split in splits.items()}) == 7
    assert Counter(draw_splits(groups, val=0, test=0.01, seed=1).values()) == {"train": 120, "test": 20}
    unequal = {f"{group}{i}": group for group, n in (("a", 8), ("b", 3), ("c", 5)) for i in range(n)}
    for seed in range(5):  # where all groups are too large the smallest is taken
        assert Counter(draw_splits(unequal, val=0, test=1, seed=seed).values()) == {"train": 13, "test": 3}


def test_frames_of_a_video_share_a_split(tmp_path, capsys):
    frames = [f"v{i}_{j}.png" for i in range(4) for j in range(3)]
    for name in frames:
        save_image(tmp_path / "in" / name)
    source = csv_source(tmp_path / "in", *(f"{name},1,2,cell" for name in reversed(frames)))
    for regex in ("v[0-9]+", "(v[0-9]+)_[0-9]+"):
        imported(
            capsys, source, "-o", tmp_path / "own", "--group-by", regex, "--overwrite", "--val", "3", "--test", ".25"
        )
        splits = splits_of(tmp_path / "own")
        assert list(splits) == sorted(frames)
        assert sorted(Counter(splits.values()).items()) == [("test", 3), ("train", 6), ("val", 3)]
        assert len({(name[:2], split) for name, split in splits.items()}) == 4
    other = ["-o", tmp_path / "other", "--group-by"]
    assert "does not match 'v3_2.png'" in refused(capsys, source, *other, "w.")
    assert "is not a regular expression" in refused(capsys, source, *other, "(")
    assert "leave none of 12 images in 1 groups to train on" in refused(capsys, source, *other, "v")


@pytest.mark.parametrize("option", ["--val", "--test"])
@pytest.mark.parametrize("value", ["-1", "1.5", "nan", "inf", "all"])
def test_shares_that_are_none(tmp_path, capsys, option, value):
    with pytest.raises(SystemExit) as left:
        import_points.main([str(tmp_path), "-o", str(tmp_path / "own"), option, value])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
