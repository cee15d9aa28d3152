"""Damage small image files in many ways, and check that each is read, or refused in one line.

python -m benchmarks.fuzz_images --minutes 20

A file is damaged by flipped bits, other bytes, cuts, insertions, repeated parts, large numbers, and parts of other
files. Then `read_image` (the first and the last frame), `read_values` and `image_size` must return what they promise or
raise ImageError, all four within 60 seconds and 600 MB. Other errors, crashes and hangs are printed, and the files that
caused them are kept. The seed and the number of a file give the same file again.
"""

import argparse
import contextlib
import io
import json
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
MAX_PIXELS = 1_000_000
MAX_SECONDS = 60
MAX_MEGABYTES = 600
PER_WORKER = 2000  # files; then a new process begins, so that nothing adds up
NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (24, 32), dtype=np.uint8)
RGB = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
DEEP = RNG.integers(200, 3000, (24, 32), dtype=np.uint16)


def whole_files() -> dict[str, bytes]:
    """Return valid files of all formats by their names."""
    return {**pillow_files(), **tiff_files(), **dicom_files()}


def pillow_files() -> dict[str, bytes]:
    """Return files that Pillow writes. HEIF is among them if pillow-heif is installed."""
    from PIL import Image, features

    def saved(image: Image.Image, kind: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, format=kind, **options)
        return buffer.getvalue()

    exif = Image.Exif()
    exif[274] = 6
    rgb, grey, deep = Image.fromarray(RGB), Image.fromarray(GREY), Image.fromarray(DEEP)
    rgba = Image.fromarray(np.dstack([RGB, GREY]))
    frames = {"save_all": True, "append_images": [Image.fromarray(255 - RGB), Image.fromarray(RGB // 2)]}
    files = {
        "jpeg": saved(rgb, "JPEG", exif=exif),
        "jpeg progressive": saved(rgb, "JPEG", progressive=True),
        "jpeg grey": saved(grey, "JPEG", restart_marker_blocks=2),
        "jpeg cmyk": saved(rgb.convert("CMYK"), "JPEG"),
        "jpeg without end": saved(rgb, "JPEG")[:-2],
        "png": saved(rgb, "PNG", exif=exif),
        "png alpha": saved(rgba, "PNG"),
        "png palette": saved(rgb.quantize(16), "PNG", transparency=3),
        "png deep": saved(deep, "PNG"),
        "png animated": saved(rgb, "PNG", **frames),
        "bmp": saved(rgb, "BMP"),
        "bmp palette": saved(rgb.quantize(16), "BMP"),
        "gif": saved(rgb, "GIF", **frames),
        "webp": saved(rgba, "WEBP", exif=exif),
        "webp lossless": saved(rgb, "WEBP", lossless=True),
        "webp animated": saved(rgb, "WEBP", **frames),
        "tiff fax": saved(Image.fromarray(GREY > 99), "TIFF", compression="group4"),
        "tiff palette": saved(rgb.quantize(16), "TIFF"),
    }
    if features.check("avif"):
        files["avif"] = saved(rgb, "AVIF")
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        files["heif"] = saved(rgb, "HEIF")
    return files


def tiff_files() -> dict[str, bytes]:
    """Return files that tifffile writes."""
    import tifffile

    def written(values: np.ndarray, **options: object) -> bytes:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, values, **options)
        return buffer.getvalue()

    stack = np.stack([np.stack([DEEP, DEEP[::-1]])] * 3)
    nodata = [(42113, "s", 0, "200", True)]
    codecs = ("lzw", "deflate", "packbits", "zstd", "lzma", "jpeg", "jpeg2000", "png", "webp", "lerc")
    return {
        **{f"tiff {codec}": written(RGB, photometric="rgb", compression=codec) for codec in codecs},
        "tiff": written(DEEP, extratags=nodata),
        "tiff big-endian": written(DEEP, byteorder=">", bigtiff=True),
        "tiff float": written(DEEP.astype(np.float32), compression="zlib", predictor=True),
        "tiff tiles": written(RGB, photometric="rgb", tile=(16, 16), compression="jpeg"),
        "tiff planes": written(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"),
        "tiff alpha": written(np.dstack([RGB, GREY]), photometric="rgb", extrasamples=["unassalpha"]),
        "tiff imagej": written(stack, imagej=True, metadata={"axes": "ZCYX"}),
        "tiff ome": written(stack, ome=True, metadata={"axes": "TCYX"}),
        "tiff shaped": written(stack, metadata={"axes": "TCYX"}),
        "tiff pages": written(stack[0], photometric="miniswhite", metadata=None),
    }


def dicom_files() -> dict[str, bytes]:
    """Return files that pydicom writes: plain, packed by all codecs, and without preamble."""
    import imagecodecs
    import pydicom
    from pydicom.data import get_testdata_file
    from pydicom.encaps import encapsulate

    def saved(values: np.ndarray, syntax: pydicom.uid.UID | None = None, streams: list[bytes] | None = None) -> bytes:
        dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
        del dataset.PixelPaddingValue, dataset[0xFFFCFFFC], dataset[0x00091010:0x00500000]
        dataset.set_pixel_data(values, "RGB" if values.ndim == 3 else "MONOCHROME2", 8 * values.dtype.itemsize)
        if streams is not None:
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.PixelData, dataset.NumberOfFrames = encapsulate(streams), len(streams)
            dataset["PixelData"].VR = "OB"
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        return buffer.getvalue()

    uid = pydicom.uid
    names = ("MR_small_RLE.dcm", "rtdose_rle.dcm", "examples_palette.dcm", "SC_rgb_rle_2frame.dcm", "liver_1frame.dcm")
    return {
        "dicom": saved(DEEP),
        "dicom rgb": saved(RGB),
        "dicom without preamble": saved(DEEP)[132:],
        "dicom jpeg": saved(GREY, uid.JPEGBaseline8Bit, [imagecodecs.jpeg8_encode(GREY)] * 2),
        "dicom lossless": saved(DEEP, uid.JPEGLosslessSV1, [imagecodecs.ljpeg_encode(DEEP)]),
        "dicom jpegls": saved(DEEP, uid.JPEGLSLossless, [imagecodecs.jpegls_encode(DEEP)]),
        "dicom jpeg2000": saved(DEEP, uid.JPEG2000Lossless, [imagecodecs.jpeg2k_encode(DEEP, level=0)] * 2),
        **{name: Path(get_testdata_file(name, download=False)).read_bytes() for name in names},
    }


def damaged(number: int, seed: int, files: dict[str, bytes]) -> tuple[str, bytes]:
    """Return the name of a whole file, and what became of it."""
    rng = np.random.default_rng([seed, number])
    names = sorted(files)
    name = names[number % len(names)]
    data = files[name]
    for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
        data = CHANGES[rng.integers(len(CHANGES))](bytearray(data), rng, files[names[rng.integers(len(names))]])
    return name, data


def _place(data: bytes, rng: np.random.Generator) -> int:
    """Return a place, more often near the beginning, where headers are."""
    return int(rng.integers(max(min(len(data), int(rng.choice([40, 300, 10**9]))), 1)))


def _part(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start = _place(data, rng)
    return start, start + int(rng.choice([1, 2, 4, 16, 100, 1000]))


def _flip(data: bytearray, rng: np.random.Generator, _other: bytes) -> bytes:
    for _ in range(rng.integers(1, 9)):
        if data:
            data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _write_bytes(data: bytearray, rng: np.random.Generator, _other: bytes) -> bytes:
    start = _place(data, rng)
    length = int(rng.integers(1, 5))
    data[start : start + length] = rng.bytes(length)
    return bytes(data)


def _write_number(data: bytearray, rng: np.random.Generator, _other: bytes) -> bytes:
    start = _place(data, rng)
    packed = struct.pack("<>"[rng.integers(2)] + "I", int(rng.choice(NUMBERS)))
    length = int(rng.choice([2, 4]))
    data[start : start + length] = packed[:length]
    return bytes(data)


def _cut(data: bytearray, rng: np.random.Generator, _other: bytes) -> bytes:
    return bytes(data[: int(rng.integers(len(data) + 1))])


def _delete(data: bytearray, rng: np.random.Generator, _other: bytes) -> bytes:
    start, stop = _part(data, rng)
    return bytes(data[:start] + data[stop:])


def _insert(data: bytearray, rng: np.random.Generator, _other: bytes) -> bytes:
    start, stop = _part(data, rng)
    return bytes(data[:start]) + rng.bytes(stop - start) + bytes(data[start:])


def _repeat(data: bytearray, rng: np.random.Generator, _other: bytes) -> bytes:
    start, stop = _part(data, rng)
    return bytes(data[:stop] + data[start:])


def _mix(data: bytearray, rng: np.random.Generator, other: bytes) -> bytes:
    start, stop = _part(other, rng)
    place = _place(data, rng)
    return bytes(data[:place]) + other[start:stop] + bytes(data[place + int(rng.integers(2)) * (stop - start) :])


CHANGES = (
    _flip,
    _flip,
    _write_bytes,
    _write_bytes,
    _write_number,
    _write_number,
    _cut,
    _delete,
    _insert,
    _repeat,
    _mix,
)


def check(path: Path) -> str:
    """Read a file in all ways, and return whether it was "read" or "refused", or what is wrong."""
    from lcfcn.counting.image_files import ImageError, image_size, image_stack, read_image, read_values

    calls: dict[str, Callable[[], object]] = {
        "read_image": lambda: read_image(path, max_pixels=MAX_PIXELS),
        "last frame": lambda: read_image(path, max_pixels=MAX_PIXELS, frame=min(image_stack(path).n_frames, 9) - 1),
        "read_values": lambda: read_values(path, max_pixels=MAX_PIXELS),
        "image_size": lambda: image_size(path),
    }
    outcome = "read"
    for name, call in calls.items():
        try:
            found = call()
        except ImageError as error:
            if "\n" in str(error):
                return f"{name}: several lines"
            outcome = "refused" if name == "read_image" else outcome
        except Exception as error:
            return f"{name}: {type(error).__name__}: {error}"
        else:
            if name in ("read_image", "last frame") and not _is_image(found):
                return f"{name}: {found.dtype} of shape {found.shape}"
            if name == "image_size" and not all(isinstance(side, int) for side in found):
                return f"{name}: {found}"
    return outcome


def _is_image(found: np.ndarray) -> bool:
    return (
        found.dtype == np.uint8
        and found.ndim == 3
        and found.shape[2] == 3
        and 0 < found.shape[0] * found.shape[1] <= MAX_PIXELS
    )


def work(seed: int, start: int, stop: int, folder: Path) -> None:
    """Check some files in this process, and print a line of JSON before and after each."""
    files = whole_files()
    for name, data in sorted(files.items()):
        path = folder / "whole"
        path.write_bytes(data)
        if check(path) != "read":
            sys.exit(f"{name} is whole, and it is not read: {check(path)}")
    usual = _megabytes()
    for number in range(start, stop):
        name, data = damaged(number, seed, files)
        path = folder / "damaged"
        path.write_bytes(data)
        print(json.dumps({"number": number, "name": name}), flush=True)
        outcome = check(path)
        if _megabytes() - usual > MAX_MEGABYTES:
            outcome = f"it took {_megabytes() - usual:.0f} MB"
            usual = _megabytes()
        print(json.dumps({"outcome": outcome}), flush=True)


def _megabytes() -> float:
    """Return the largest memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Worker:
    """A process that checks files, and what it says."""

    def __init__(self, seed: int, start: int, folder: Path) -> None:
        numbers = [str(start), str(start + PER_WORKER)]
        command = [sys.executable, "-m", "benchmarks.fuzz_images", "--seed", str(seed), "--work", *numbers, str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def lines(self) -> Iterator[dict]:
        """Yield what the process says. A hang ends it, and gives {"outcome": ...} as a crash does."""
        is_open = False
        while True:
            signal.alarm(MAX_SECONDS if is_open else 600)
            try:
                line = self._process.stdout.readline()
            except TimeoutError:
                self._process.kill()
                yield {"outcome": f"it took more than {MAX_SECONDS} seconds"}
                return
            finally:
                signal.alarm(0)
            if not line:
                break
            entry = json.loads(line)
            is_open = "number" in entry
            yield entry
        code = self._process.wait()
        if code:
            yield {"outcome": f"the process ended with {code}"}

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def run(minutes: float, seed: int, first: int, keep: Path) -> int:
    """Check files until the time is over, print the outcome, and return the exit code: 1 if something fell."""

    def ring(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, ring)
    end = time.monotonic() + 60 * minutes
    counts: Counter[str] = Counter()
    files, number, name, fallen = whole_files(), first, "", []
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            worker = Worker(seed, number, Path(folder))
            for entry in worker.lines():
                if "number" in entry:
                    number, name = entry["number"], entry["name"]
                    continue
                outcome = entry["outcome"]
                counts[outcome if outcome in ("read", "refused") else "fell"] += 1
                if outcome not in ("read", "refused"):
                    fallen.append(f"file {number} ({name}): {outcome}")
                    print(fallen[-1], flush=True)
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{seed}_{number}").write_bytes(damaged(number, seed, files)[1])
                if time.monotonic() > end:
                    break
            worker.stop()
            number += 1
    print(f"{counts.total()} files: {counts['read']} read, {counts['refused']} refused, {counts['fell']} fell")
    return 1 if fallen else 0


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first file")
    parser.add_argument("--keep", type=Path, default=Path("fuzzed"), help="where to keep files that fell (fuzzed)")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    args = parse_args(argv)
    if args.work:
        start, stop, folder = args.work
        work(args.seed, int(start), int(stop), Path(folder))
        return 0
    return run(args.minutes, args.seed, args.first, args.keep)


if __name__ == "__main__":
    sys.exit(main())
