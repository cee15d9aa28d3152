"""What the columns and numbers of a table mean, and tables that may mean several things."""

import pytest
from helpers_annotations import HEIGHT, WIDTH, imported, points, put, refusal, save_image, save_tiff, table

from src.annotations import csv_points, dotdotgoose, recognise
from src.annotations.columns import NAMES, columns_of
from src.readers.numbers import OpenNumberError, style_of

HEADERS = {
    "image,x,y": ((10, 20), (10, 20)),
    "filename,cx,cy": ((10, 20), (10, 20)),
    "File Name,X (px),Y (px)": ((10, 20), (10, 20)),
    "photo,x_coord,y_coord": ((10, 20), (10, 20)),
    "image_path,xmin,ymin,xmax,ymax": ((10, 20, 30, 60), (20, 40)),
    "image,x1,y1,x2,y2": ((10, 20, 30, 60), (20, 40)),
    "image,x0,y0,x1,y1": ((10, 20, 30, 60), (20, 40)),
    "image,left,top,right,bottom": ((10, 20, 30, 60), (20, 40)),
    "image,x,y,width,height": ((10, 20, 20, 40), (20, 40)),
    "image,x,y,w,h": ((10, 20, 20, 40), (20, 40)),
    "image,left,top,width,height": ((10, 20, 20, 40), (20, 40)),
    "image,xmin,ymin,width,height": ((10, 20, 20, 40), (20, 40)),
    "image,bbox_x,bbox_y,bbox_w,bbox_h": ((10, 20, 20, 40), (20, 40)),
    "image,bboxX,bboxY,bboxWidth,bboxHeight": ((10, 20, 20, 40), (20, 40)),
    "image,x_center,y_center,width,height": ((20, 40, 20, 40), (20, 40)),
    "image,cx,cy,w,h": ((20, 40, 20, 40), (20, 40)),
}
"""Headers, a row, and where the object is."""


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_places_and_boxes_by_the_names_of_columns(tmp_path, header, separator):
    save_image(tmp_path / "a.jpg")
    row, expected = HEADERS[header]
    source = put(tmp_path / "p.csv", table(header.split(","), ["a.jpg", *row], separator=separator))
    assert recognise(source) is csv_points
    assert points(source) == {"a.jpg": [(*expected, "object")]}
    ((_, _, _, size),) = imported(source).images[0].xy
    assert size == (30 if len(row) == 4 else None)


def test_width_and_height_of_the_image_are_no_box(tmp_path):
    save_image(tmp_path / "a.jpg")
    source = put(tmp_path / "p.csv", table(["image", "width", "height", "x", "y"], ["a.jpg", WIDTH, HEIGHT, 10, 20]))
    assert points(source) == {"a.jpg": [(10, 20, "object")]}
    header = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]  # TensorFlow's
    put(source, table(header, ["a.jpg", WIDTH, HEIGHT, "cow", 10, 20, 30, 60]))
    assert points(source) == {"a.jpg": [(20, 40, "cow")]}
    put(source, table(header, ["a.jpg", 2 * WIDTH, 2 * HEIGHT, "cow", 10, 20, 30, 60]))
    assert "was annotated as 240 x 160" in refusal(source)
    put(source, table(header, ["a.jpg", 20, 40, "cow", 10, 20, 30, 60]))  # the sides of the box
    assert points(source) == {"a.jpg": [(20, 40, "cow")]}


def test_boxes_whose_x_and_y_are_their_centres_are_asked_for(tmp_path):
    save_image(tmp_path / "a.jpg")
    rows = [["a.jpg", 110, 40, 20, 40], ["a.jpg", 20, 40, 20, 40]]
    source = put(tmp_path / "p.csv", table(["image", "x", "y", "width", "height"], *rows))
    assert "say --columns cx=x,cy=y,width=width,height=height" in refusal(source)
    columns = {"cx": "x", "cy": "y", "width": "width", "height": "height"}
    assert points(source, columns=columns) == {"a.jpg": [(110, 40, "object"), (20, 40, "object")]}


COUNTS = {
    "DotDotGoose": [
        ["survey id", "image", "gull", "x", "y"],
        ["S1", "a.jpg", 14, 8.55, 47.37],
        ["S1", "b.jpg", 3, "", ""],
    ],
    "a column a class": [["image", "gull", "tern", "x", "y"], ["a.jpg", 14, 0, 8.5, 47.3], ["b.jpg", 3, 2, 8.5, 47.4]],
    "a row a class": [["image", "species", "count", "x", "y"], ["a.jpg", "gull", 14, 8.5, 47.3]],
    "one image": [["image", "gulls", "x", "y"], ["a.jpg", 2, 8.55, 47.37]],
    "none": [["image", "gulls", "x", "y"], ["a.jpg", 0, 8.55, 47.37]],
}


@pytest.mark.parametrize("key", COUNTS)
def test_a_table_of_counts_is_refused(tmp_path, key):
    save_image(tmp_path / "a.jpg")
    save_image(tmp_path / "b.jpg")
    assert "table of counts" in refusal(put(tmp_path / "p.csv", table(*COUNTS[key])))


@pytest.mark.parametrize("rows", [[["image", "gull", "tern"], ["a.jpg", 14, 0]], [["image", "count"], ["a.jpg", 14]]])
def test_a_table_of_counts_alone_is_refused(tmp_path, rows):
    save_image(tmp_path / "a.jpg")
    assert "a table of counts has none" in refusal(put(tmp_path / "p.csv", table(*rows)))


def test_numbers_beside_places_need_not_be_counts(tmp_path):
    save_image(tmp_path / "a.jpg")
    source = put(tmp_path / "p.csv", table(["image", "id", "x", "y"], ["a.jpg", 7, 10, 20]))
    assert points(source) == {"a.jpg": [(10, 20, "object")]}
    put(source, table(["image", "area", "x", "y", "note"], ["a.jpg", 70, 10, 20, "big"], ["a.jpg", 80, 30, 40, "x"]))
    assert points(source) == {"a.jpg": [(10, 20, "object"), (30, 40, "object")]}
    put(source, table(["image", "gulls", "x", "y"], ["a.jpg", 2, 8.55, 47.37]))
    assert points(source, columns={"image": "image", "x": "x", "y": "y"}) == {"a.jpg": [(8.55, 47.37, "object")]}


def test_the_points_of_dotdotgoose(tmp_path):
    save_image(tmp_path / "a.jpg")
    rows = [["survey id", "image", "class", "x", "y"], ["S1", "a.jpg", "gull", 10.5, 20.25]]
    source = put(tmp_path / "p.csv", table(*rows))
    assert recognise(source) is dotdotgoose
    assert points(source) == {"a.jpg": [(10.5, 20.25, "gull")]}
    rows[0].append("chip name")
    put(source, table(rows[0], [*rows[1], "gull/0000000001.png"]))
    assert points(source) == {"a.jpg": [(10.5, 20.25, "gull")]}


def test_a_point_file_of_dotdotgoose_lists_images_without_a_point(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        save_image(tmp_path / name)
    content = {
        "classes": ["gull", "tern"],
        "points": {"a.jpg": {"gull": [{"x": 10.0, "y": 20.0}], "tern": []}, "b.jpg": {}},
    }
    source = put(tmp_path / "s.pnt", {**content, "colors": {}, "metadata": {"survey_id": "S1"}})
    assert points(source) == {"a.jpg": [(10, 20, "gull")], "b.jpg": []}
    assert imported(source).not_annotated == ["c.jpg"]


FRACTIONS = {
    "image,x,y": (0.25, 0.5),
    "image,xmin,ymin,xmax,ymax": (0.2, 0.4, 0.3, 0.6),
    "image,x,y,width,height": (0.2, 0.4, 0.1, 0.2),
    "image,cx,cy,w,h": (0.25, 0.5, 0.1, 1.0),
}


@pytest.mark.parametrize("header", FRACTIONS)
def test_fractions_are_asked_for_and_read_where_they_are_said(tmp_path, header):
    save_image(tmp_path / "a.jpg")
    source = put(tmp_path / "p.csv", table(header.split(","), ["a.jpg", *FRACTIONS[header]]))
    assert "from 0 to 1 only, which look like fractions" in refusal(source)
    assert points(source, units="fraction") == {"a.jpg": [(30, 40, "object")]}
    assert points(source, units="pixels")["a.jpg"][0][0] < 1
    named = ",".join(name if name == "image" else f"{name}_norm" for name in header.split(","))
    put(source, table(named.split(","), ["a.jpg", *FRACTIONS[header]]))
    assert points(source) == {"a.jpg": [(30, 40, "object")]}


def test_a_fraction_beside_pixels_is_a_pixel(tmp_path):
    save_image(tmp_path / "a.jpg")
    source = put(tmp_path / "p.csv", table(["image", "x", "y"], ["a.jpg", 0.25, 0.5], ["a.jpg", 0.25, 7]))
    assert len(points(source)["a.jpg"]) == 2
    put(source, table(["image", "x", "y"], ["a.jpg", 0, 1]))
    assert points(source) == {"a.jpg": [(0, 1, "object")]}


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "resolution": (2, 2), "metadata": {"unit": "um"}},
        {"imagej": True, "resolution": (2, 2), "metadata": {"unit": "\\u00B5m"}},
        {"ome": True, "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "axes": "YX"}},
        {
            "ome": True,
            "metadata": {"PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 500, "axes": "YX"},
        },
        {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER", "metadata": None},
    ],
    ids=["um", "mu", "OME", "nm", "cm"],
)
def test_micrometres_take_the_size_of_a_pixel_from_the_image(tmp_path, options):
    save_tiff(tmp_path / "a.tif", **options)
    source = put(tmp_path / "p.csv", table(["image", "x (µm)", "y (µm)", "size_um"], ["a.tif", 5, 10, 3]))
    assert points(source) == {"a.tif": [(10, 20, "object")]}
    assert imported(source).images[0].xy[0].size == pytest.approx(6)
    put(source, table(["image", "x", "y"], ["a.tif", 5, 10]))
    assert points(source, units="micrometres") == {"a.tif": [(10, 20, "object")]}


@pytest.mark.parametrize("options", [{}, {"resolution": (300, 300), "metadata": None}], ids=["nothing", "dots an inch"])
def test_micrometres_need_the_size_of_a_pixel(tmp_path, options):
    save_tiff(tmp_path / "a.tif", **options)
    source = put(tmp_path / "p.csv", table(["image", "x_um", "y_um"], ["a.tif", 5, 10]))
    assert "does not say how large its pixels are: add --pixel-size" in refusal(source)
    assert points(source, pixel_size=0.5) == {"a.tif": [(10, 20, "object")]}


def results(*rows):
    return table(["", "Area", "X", "Y"], *([n, *row] for n, row in enumerate(rows)))


def test_results_of_imagej_are_in_the_unit_of_the_image(tmp_path):
    save_tiff(tmp_path / "a.tif", imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    source = put(tmp_path / "Results.csv", results([0, 5.25, 10.25], [3.0, 15.25, 20.25]))
    assert points(source) == {"a.tif": [(11, 21, "object"), (30.5, 40.5, "object")]}
    assert imported(source).images[0].xy[1].size == pytest.approx(2 * (12 / 3.14159265) ** 0.5)
    assert "a.tif has a scale of 2 pixels a um, so X and Y of Results.csv were read in um" in imported(source).notes[0]
    assert points(source, units="pixels") == {"a.tif": [(5.75, 10.75, "object"), (15.25, 20.25, "object")]}


def test_results_that_leave_the_image_in_its_unit_are_pixels(tmp_path):
    save_tiff(tmp_path / "a.tif", imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    source = put(tmp_path / "Results.txt", results([0, 110, 70]).replace(",", "\t"))
    assert points(source) == {"a.tif": [(110.5, 70.5, "object")]}
    assert "they were read as pixels" in imported(source).notes[0]


@pytest.mark.parametrize(
    "options", [{"imagej": True, "resolution": (2, 2), "metadata": {"unit": "um"}}, {"resolution": (2, 2)}]
)
def test_whole_results_beside_a_scale_are_asked_for(tmp_path, options):
    save_tiff(tmp_path / "a.tif", **options)
    source = put(tmp_path / "Results.xls", results([0, 5, 10]).replace(",", "\t"))
    assert "add --units pixels, or --units micrometres" in refusal(source)
    assert points(source, units="pixels") == {"a.tif": [(5.5, 10.5, "object")]}
    assert points(source, units="micrometres") == {"a.tif": [(10.5, 20.5, "object")]}


NUMBERS = {
    "1,234.5": ("1,234.5", ","),
    "1.234,5": ("1.234,5", ";"),
    "1 234.5": ("1 234.5", ","),
    "1'234.5": ("1'234.5", "\t"),
    "1\u202f234,5": ("1\u202f234,5", ";"),
}


@pytest.mark.parametrize("key", NUMBERS)
def test_thousands_are_separated_in_many_ways(tmp_path, key):
    save_image(tmp_path / "a.jpg", (10, 3000))
    text, separator = NUMBERS[key]
    source = put(tmp_path / "p.csv", table(["image", "x", "y"], ["a.jpg", text, 5], separator=separator))
    assert points(source) == {"a.jpg": [(1234.5, 5, "object")]}


def test_a_comma_that_may_separate_thousands(tmp_path):
    save_image(tmp_path / "a.jpg", (10, 3000))
    source = put(tmp_path / "p.csv", table(["image", "x", "y"], ["a.jpg", "1,234", 5]))
    assert points(source) == {"a.jpg": [(1234, 5, "object")]}
    put(source, table(["image", "x", "y"], ["a.jpg", "1,234", 5], separator=";"))
    assert "1,234 may be 1234 or 1.234" in refusal(source)
    put(source, table(["image", "x", "y"], ["a.jpg", "1,234", "5,5"], separator=";"))
    assert points(source) == {"a.jpg": [(1.234, 5.5, "object")]}
    put(source, table(["image", "x", "y"], ["a.jpg", "1,5", "5.5"], separator=";"))
    assert "numbers are written in two ways, such as 5.5 and 1,5" in refusal(source)


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;", "sep=;;;"])
def test_the_line_of_excel_is_passed_over(tmp_path, line):
    save_image(tmp_path / "a.jpg")
    text = table(["image", "x", "y"], ["a.jpg", "10,5", "20"], separator=";")
    source = put(tmp_path / "p.csv", f"{line}\r\n{text}")
    assert points(source) == {"a.jpg": [(10.5, 20, "object")]}
    put(source, f"{line}\n{text}b.jpg;x;1\n")
    assert "'x' as x of line 4" in refusal(source)


def test_missing_values_of_r_say_that_there_is_no_object(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        save_image(tmp_path / name)
    text = '"","image","x","y","species"\n"1","a.jpg",10,20,"cow"\n"2","b.jpg",NA,NA,NA\n"3","a.jpg",30,40,NA\n'
    source = put(tmp_path / "p.csv", text)
    assert points(source) == {"a.jpg": [(10, 20, "cow")], "b.jpg": []}
    assert imported(source).dropped["a.jpg"] == {"unlabelled": 1}
    put(source, text.replace("10,20", "10,NA"))
    assert "'' as y of line 2" in refusal(source)


@pytest.mark.parametrize("name", ["class", "Species", "label", "category", "Class Name", "taxon", "type", "cell_type"])
def test_names_of_the_column_of_classes(tmp_path, name):
    save_image(tmp_path / "a.jpg")
    assert (
        points(put(tmp_path / "p.csv", table(["image", "x", "y", name], ["a.jpg", 10, 20, "cow"])))["a.jpg"][0][2]
        == "cow"
    )


def test_a_column_that_may_be_the_class_is_told(tmp_path):
    save_image(tmp_path / "a.jpg")
    source = put(tmp_path / "p.csv", table(["image", "x", "y", "beast"], ["a.jpg", 10, 20, "cow"]))
    assert "no column is known as the class; beast were not read" in imported(source).notes[0]
    assert points(source, columns={"class": "beast"}) == {"a.jpg": [(10, 20, "cow")]}


def test_the_column_of_images_is_known_by_its_cells(tmp_path):
    save_image(tmp_path / "a.jpg")
    source = put(tmp_path / "p.csv", table(["where", "x", "y"], ["C:\\d\\a.jpg", 10, 20]))
    assert points(source) == {"a.jpg": [(10, 20, "object")]}
    put(source, table(["name", "x", "y"], ["a.jpg", 10, 20]))
    assert points(source) == {"a.jpg": [(10, 20, "object")]}


def test_columns_are_said_by_header_or_number(tmp_path):
    save_image(tmp_path / "a.jpg")
    rows = [["a", "b", "c", "d"], ["a.jpg", 20, 10, "cow"]]
    source = put(tmp_path / "p.csv", table(*rows))
    line = refusal(source)
    assert "is a table with the columns a, b, c, d, which are not known: say what they are by --columns" in line
    assert points(source, columns={"image": "a", "x": "c", "y": "b"}) == {"a.jpg": [(10, 20, "object")]}
    put(source, table(rows[1]))
    expected = {"a.jpg": [(10, 20, "cow")]}
    assert points(source, columns={"image": "1", "x": "3", "y": "2", "class": "4"}) == expected
    assert "do not fit --columns image=1,x=9" in refusal(source, columns={"image": "1", "x": "9", "y": "2"})
    put(source, table(["a.jpg", 10, 20, 30, 60]))  # without a header, as some detectors write
    columns = {"image": "1", "xmin": "2", "ymin": "3", "xmax": "4", "ymax": "5"}
    assert points(source, columns=columns) == {"a.jpg": [(20, 40, "object")]}


def test_a_place_given_in_two_ways_is_asked_for(tmp_path):
    save_image(tmp_path / "a.jpg")
    header = ["image", "x", "y", "xmin", "ymin", "xmax", "ymax"]
    source = put(tmp_path / "p.csv", table(header, ["a.jpg", 11, 21, 0, 0, 40, 60]))
    assert (
        "places in the columns x and y, and in xmin and ymin: say which ones to read by --columns x=x,y=y"
        in refusal(source)
    )
    assert points(source, columns={"x": "x", "y": "y"}) == {"a.jpg": [(11, 21, "object")]}


@pytest.mark.parametrize("name", ["p.xlsx", "p.xls", "p.ods"])
def test_a_workbook_is_told(tmp_path, name):
    save_image(tmp_path / "a.jpg")
    put(tmp_path / name, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500))
    assert f"{name} is a workbook, which is not read: save its sheet as CSV" in refusal(tmp_path)


def test_an_option_that_a_format_does_not_take_is_refused(tmp_path):
    save_image(tmp_path / "a.jpg")
    source = put(tmp_path / "a.json", {"shapes": [], "imagePath": "a.jpg"})
    assert "--units does not go with labelme JSON: leave it out" in refusal(source, units="pixels")


def test_no_name_of_a_column_has_two_meanings():
    ambiguous = {"x1", "y1"}  # the left side beside x2, the right side beside x0
    names = [name for meaning in NAMES for name in NAMES[meaning] if name not in ambiguous]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("header", ["", "a", "x,y", "image,x", "image,xmin,ymin", '"image,x,y', "image,x_um,y_px"])
def test_a_header_that_gives_no_place(tmp_path, header):
    columns = columns_of(header, None, tmp_path)
    assert columns is None or "image" not in columns.places


@pytest.mark.parametrize(
    ("cells", "by_comma", "decimal"),
    [
        (["1", "22"], True, "."),
        (["1.5", "1,234"], True, "."),
        (["1,234,567"], False, "."),
        (["1.234.567"], True, ","),
        (["0,250", "0,125"], False, ","),
        (["1,234", "5678"], False, ","),
        (["1.234", "5678"], False, "."),
        (["10.250", "20.500"], False, "."),
    ],
)
def test_the_decimal_sign_of_a_table(cells, by_comma, decimal):
    assert style_of(cells, comma_separates_cells=by_comma).decimal == decimal


@pytest.mark.parametrize(
    ("cells", "by_comma"),
    [(["1,234"], False), (["1,234", "1,235"], True), (["1.234", "5"], False), (["1,5", "2.5"], False)],
)
def test_a_decimal_sign_that_is_open(cells, by_comma):
    with pytest.raises(OpenNumberError):
        style_of(cells, comma_separates_cells=by_comma)
