"""Sizes of images that a reader needs before the images are matched: for fractions, boxes and micrometres."""

from pathlib import Path

from lcfcn.counting.image_files import ImageError
from src.annotations.base import AnnotationError
from src.annotations.image_metadata import Scales, has_channels_alone, in_first_plane, scales_of
from src.annotations.matching import ImageFolder
from src.annotations.orientation import Frame, frame_of


class ImageSizes:
    """Finds images by the names that annotations use, and reads their headers once.

    Parameters
    ----------
    root : Path
        The folder of the images.
    orientation : 'stored', 'shown' or None
        The frame of the coordinates.
    pixel_size : float or None
        The side of a pixel in micrometres, if the user says it.
    """

    def __init__(self, root: Path, orientation: str | None = None, pixel_size: float | None = None) -> None:
        self.folder = ImageFolder(root, set())
        self._orientation, self._pixel_size = orientation, pixel_size
        self._frames: dict[str, Frame | None] = {}
        self._scales: dict[str, Scales] = {}
        self._planes: dict[tuple[str, int], bool] = {}

    def frame(self, image: str) -> Frame | None:
        """Return the frame of an image, or None if it is missing or damaged, which is told when it is matched."""
        if image not in self._frames:
            file = self.folder.find(image)
            try:
                self._frames[image] = frame_of(file) if file else None
            except ImageError:
                self._frames[image] = None
        return self._frames[image]

    def size(self, image: str) -> tuple[int, int] | None:
        """Return height and width in the frame of the coordinates, or None."""
        frame = self.frame(image)
        return frame.size(self._orientation) if frame else None

    def needed_size(self, image: str, path: Path) -> tuple[int, int]:
        """Return height and width; raise `AnnotationError` if there is no such image."""
        size = self.size(image)
        if size is None:
            raise AnnotationError(
                f"{path} needs the size of {image}, and {self.folder.root} has no such image that can be read: name "
                "the image's folder by --images"
            )
        return size

    def scales(self, image: str) -> Scales:
        """Return what the file of an image says about the size of its pixels."""
        if image not in self._scales:
            self._scales[image] = scales_of(self.folder.find(image))
        return self._scales[image]

    def in_first_plane(self, index: int, image: str) -> bool:
        """Whether a plane of an image, by its number in ImageJ's stack, is a channel of the first slice and time."""
        if (image, index) not in self._planes:
            self._planes[image, index] = index <= 1 or in_first_plane(index, self.folder.find(image))
        return self._planes[image, index]

    def has_channels_alone(self, image: str) -> bool:
        """Whether an image has several channels, and one slice and time."""
        return has_channels_alone(self.folder.find(image))

    def pixel_size(self, image: str, path: Path) -> tuple[float, float]:
        """Return width and height of a pixel in micrometres; raise `AnnotationError` if nobody says it."""
        if self._pixel_size is not None:
            return self._pixel_size, self._pixel_size
        scale = self.scales(image).physical
        scale = scale.in_micrometres() if scale else None
        if scale is None:
            raise AnnotationError(
                f"{path} has micrometres, and {image} does not say how large its pixels are: add --pixel-size "
                "MICROMETRES"
            )
        return scale.width, scale.height
