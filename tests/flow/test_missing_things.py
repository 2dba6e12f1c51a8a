"""What a user is told when something that a command needs is not there."""

import subprocess
import sys

from PIL import Image


def test_missing_data_are_named_with_the_places_that_were_looked_at(cmirnet, tmp_path):
    outcome = cmirnet("prepare-data", "refcocog", "--split-by", "umd", "--data", tmp_path)
    assert outcome.code == 3
    for named in ("refs(umd).p", "instances.json", str(tmp_path / "refcocog"), str(tmp_path / "images"), "--annotations"):
        assert named in outcome.err


def test_training_without_a_cache_names_the_command_that_makes_one(cmirnet, tmp_path):
    outcome = cmirnet("train", "--backbone", "swin-b", "--dataset", "refcocog", "--split-by", "umd", "--cache", tmp_path)
    assert outcome.code == 3
    assert "cmirnet prepare-data refcocog --split-by umd" in outcome.err


def test_missing_weights_are_named_with_the_commands_that_make_them(cmirnet, tmp_path):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(photo)
    outcome = cmirnet("predict", tmp_path / "weights", photo, "-e", "the red cup")
    assert outcome.code == 4
    assert "cmirnet train" in outcome.err


def test_an_image_folder_without_images_is_an_error(cmirnet, tmp_path):
    outcome = cmirnet("predict", tmp_path, tmp_path, "-e", "x")
    assert outcome.code == 3
    assert "holds no images" in outcome.err


def test_missing_photographs_stop_the_preparation_before_anything_is_written(cmirnet, shared_data, tmp_path):
    home = shared_data / "coco128_refer"
    source = ["--split-by", "template", "--annotations", home, "--images", tmp_path]
    outcome = cmirnet("prepare-data", "refcoco128", *source, "--out", tmp_path / "cache")
    assert outcome.code == 3
    assert "000000000009.jpg: missing" in outcome.err
    assert not (tmp_path / "cache").exists()


def test_a_bad_setting_is_refused_with_a_suggestion(cmirnet):
    outcome = cmirnet("train", "--set", "optimizer.learning_rate=1", "--backbone", "swin-x", "--print-config")
    assert outcome.code == 2
    assert "there is no setting optimizer.learning_rate; did you mean optimizer.lr?" in outcome.err
    assert "there is no backbone 'swin-x'; did you mean swin-" in outcome.err


def test_the_page_without_its_extra_names_what_to_install(tmp_path):
    lacking = "import sys; sys.modules['nicegui'] = None; from cmirnet_cli.app import run; sys.exit(run())"
    ended = subprocess.run([sys.executable, "-c", lacking, "app", str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "hint: pip install 'cmirnet[app]'" in ended.stderr
