import pytest
from helpers_data import labelled_xy
from helpers_formats import put

from src.annotations import napari
from src.annotations.base import AnnotationError


def test_napari_takes_the_first_slice(tmp_path):
    source = put(tmp_path / "a.csv", "index,axis-0,axis-1,axis-2\n0,0,8,3\n1,1,8,3\n2,0.4,6,5\n")
    (clicks,) = napari.read(source, None)
    assert labelled_xy(clicks) == [(3.5, 8.5, "object"), (5.5, 6.5, "object")]
    assert dict(clicks.dropped) == {"on another slice than the first": 1}
    put(source, "index,shape-type,vertex-index,axis-0,axis-1\n0,path,0,1,2\n")
    with pytest.raises(AnnotationError, match="shapes"):
        napari.read(source, None)
