from helpers_models import model_that_says, sample, squares

from src.datasets import collate


def test_pictures_show_image_blobs_and_heat(tmp_path):
    model = model_that_says(squares([(2, 2), (26, 2)]))
    (path,) = model.vis_on_loader([collate([sample([(3, 3, 1)])])], tmp_path)
    assert path.parent == tmp_path
    assert path.stat().st_size > 1000
