"""What commands print of images."""

from cuelight.cli.images import print_images


def test_a_column_without_any_text_is_left_out(capsys, tmp_path) -> None:
    rows = [{"image": "1.png", "score": 0.25, "note": ""}, {"image": "2.png", "score": 0.0, "note": ""}]
    print_images(rows, tmp_path)
    shown = capsys.readouterr().out
    assert shown.split()[:6] == ["image", "score", "1.png", "0.2500", "2.png", "0.0000"]
    print_images([*rows[:1], rows[1] | {"note": "constant"}], tmp_path)
    assert "constant" in capsys.readouterr().out
