"""Data sets made of CSV files: what becomes of cells, which rows are in which split, and what is refused how."""

import numpy as np
import pytest

from uncertainty_suite import datasets
from uncertainty_suite.datasets import Dataset, tables
from uncertainty_suite.errors import InputError

HOUSES = """\
id,"city, country",size,rooms,price
1,"Oslo, Norway",50,2,100
2,"Köln, Germany",70,3,150
3,"Oslo, Norway",90,5,200
"""


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture
def houses(tmp_path):
    """Train, and a test file with another order of columns, a city that train lacks and no ids."""
    train = write(tmp_path / "train.csv", HOUSES)
    test = write(tmp_path / "test.csv", 'rooms,size,price,"city, country"\n4,80,175,"Lyon, France"\n')
    return {"train": train, "test": test}


def make(files, target="price", likelihood="gaussian", **options):
    options = {"categorical": ("city, country",), "ignore": ("id",), **options}
    return datasets.from_csv("houses", files, target, likelihood, **options)


def refused(*args, **options):
    with pytest.raises(InputError) as error:
        make(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_numbers_stand_before_categories(houses):
    source = make(houses)
    train, test = (Dataset(source, split) for split in ("train", "test"))
    np.testing.assert_array_equal(train.features, [[50, 2, 0, 1], [70, 3, 1, 0], [90, 5, 0, 1]])  # Köln, Oslo
    np.testing.assert_array_equal(test.features, [[80, 4, 0, 0]])  # a city that train lacks
    np.testing.assert_array_equal(train.labels, [100, 150, 200])
    np.testing.assert_array_equal(train.element_ids, [0, 1, 2])
    assert test.labels.dtype == np.float64


def test_numbers_are_standardised_with_the_training_rows_and_categories_are_not(houses):
    (batch,) = Dataset(make(houses), "test").load(1).as_numpy_iterator()
    expected = [(80 - 70) / np.std([50, 70, 90]), (4 - 10 / 3) / np.std([2, 3, 5]), 0, 0]
    np.testing.assert_allclose(batch["features"], [expected], rtol=1e-6)


def test_what_programs_write_reads_the_same(tmp_path, houses):
    """A byte order mark, Windows' ends of lines, semicolons, blanks around cells, empty lines, another encoding."""
    plain = Dataset(make(houses), "train")
    texts = {
        "bom": ("\ufeff" + HOUSES, {}),
        "crlf": (HOUSES.replace("\n", "\r\n") + "\r\n\r\n", {}),
        "blanks": (HOUSES.replace(",50,", ", 50 ,").replace(',"Köln', ', "Köln'), {}),
        "no end": (HOUSES.rstrip(), {}),
        "latin-1": (HOUSES, {"encoding": "latin-1"}),
        "utf-16": (HOUSES, {"encoding": "utf-16"}),
    }
    for name, (text, options) in texts.items():
        path = write(tmp_path / f"{name} ü.csv", text, options.get("encoding", "utf-8"))
        files = {"train": path, "test": path}
        assert Dataset(make(files, **options), "train").fingerprint() == plain.fingerprint(), name
    cells = "a;b\n1,5;x\n"
    rows = tables.read_rows(write(tmp_path / "semicolons.csv", cells), "Data set 'ours'", delimiter=";")
    assert (rows.header, rows.cells, rows.lines) == (["a", "b"], [["1,5", "x"]], [2])


def test_lines_are_those_of_the_file(tmp_path):
    text = 'a,note,y\n1,"two\nlines",0\n\n3,none,1\n'
    rows = tables.read_rows(write(tmp_path / "notes.csv", text), "Data set 'ours'")
    assert (rows.lines, rows.numbers, rows.column("note")) == ([2, 5], [0, 1], ["two\nlines", "none"])


def test_classes_are_in_the_order_of_their_names_and_of_numbers(tmp_path):
    def labels(column):
        text = "x,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(column))
        path = write(tmp_path / "classes.csv", text)
        source = datasets.from_csv("ours", {"train": path, "test": path}, "y")
        return source.num_classes, Dataset(source, "train").labels.tolist()

    assert labels(["no", " yes", "no ", "do not know"]) == (3, [1, 2, 1, 0])
    assert labels(["10", "9", "-1", "9"]) == (3, [2, 1, 0, 1])
    assert labels(["a", "10", "9", "9"]) == (3, [2, 0, 1, 1])


def test_a_share_of_each_class_is_the_test_split(tmp_path):
    text = "x,y\n" + "".join(f"{i},{'rare' if i % 10 == 0 else 'often'}\n" for i in range(100))
    file = write(tmp_path / "one.csv", text)
    source = datasets.from_csv("ours", file, "y")
    train, test = (Dataset(source, split) for split in ("train", "test"))
    assert np.bincount(train.labels).tolist() == [72, 8]  # "often" and "rare"
    assert np.bincount(test.labels).tolist() == [18, 2]
    assert sorted([*train.element_ids, *test.element_ids]) == list(range(100))
    np.testing.assert_array_equal(test.features[:, 0], test.element_ids)
    again, other, half = (
        Dataset(datasets.from_csv("ours", file, "y", **options), "test").element_ids.tolist()
        for options in ({}, {"seed": 1}, {"test_percent": 0.5})
    )
    assert again == test.element_ids.tolist() != other
    assert set(again) < set(half)
    assert len(half) == 50


def test_more_rows_leave_most_rows_in_their_split(tmp_path):
    def test_ids(count):
        file = write(tmp_path / "growing.csv", "x,y\n" + "".join(f"{i},{i}\n" for i in range(count)))
        return set(Dataset(datasets.from_csv("ours", file, "y", "gaussian"), "test").element_ids.tolist())

    before, after = test_ids(500), test_ids(550)
    assert len(before) == 100
    assert len(before & after) > 95


@pytest.mark.parametrize("cell", ["", "NA", "?", " null ", "NaN"])
def test_missing_values(tmp_path, cell):
    text = HOUSES.replace(",70,", f",{cell},").replace('"Oslo, Norway",90', f"{cell},90")
    file = write(tmp_path / "gaps.csv", text)
    files = {"train": file, "test": file}
    assert refused(files) == (
        f"Data set 'houses': {file} lacks values in line 3, 4 (the first in column 'size'). Fill them in, or give "
        "missing='drop' to leave such rows out, or missing='fill' for the mean of the training rows."
    )
    dropped = Dataset(make(files, missing="drop"), "train")
    np.testing.assert_array_equal(dropped.features, [[50, 2, 1]])
    assert Dataset(make({**files, "validation": file}, missing="drop"), "validation").element_ids.tolist() == [0]
    filled = Dataset(make(files, missing="fill"), "train")
    np.testing.assert_array_equal(filled.features, [[50, 2, 0, 0, 1], [70, 3, 0, 1, 0], [90, 5, 1, 0, 0]])


def test_a_class_may_have_the_name_of_no_value(tmp_path, caplog):
    file = write(tmp_path / "ill.csv", "x,ill\n" + "1,none\n2,mild\n3,\n4,severe\n,mild\n" * 2)
    files = {"train": file, "test": file}

    def ill(**options):
        return datasets.from_csv("ill", files, "ill", **options)

    doubt = " 'none' in column 'ill' counts as no value; if it is a class, give the cells that have none, as "
    doubt += "missing_values=('', '?')."
    with pytest.raises(InputError) as error:
        ill()
    assert str(error.value) == (
        f"Data set 'ill': {file} lacks values in line 2, 4, 6, 7, 9 and 1 more (the first in column 'ill'). Fill them "
        "in, or give missing='drop' to leave such rows out." + doubt
    )
    caplog.clear()
    assert ill(missing="drop").num_classes == 2
    said = f"Data set 'ill': 6 of 10 rows of {file} lack a value and are left out.{doubt}"
    assert [record.getMessage() for record in caplog.records] == [said, said]
    caplog.clear()
    source = ill(missing="drop", missing_values=("?",))
    assert Dataset(source, "train").labels.tolist() == [1, 0, 2, 1, 0, 2]  # mild, none, severe
    assert [record.getMessage() for record in caplog.records] == [
        f"Data set 'ill': 4 of 10 rows of {file} lack a value and are left out."
    ] * 2


def test_advice_fits_the_column(tmp_path, houses):
    words = write(tmp_path / "words.csv", HOUSES.replace(",150", ",cheap"))
    assert refused({"train": words, "test": words}) == (
        f"Data set 'houses': {words} has what is no number: 'cheap' in column 'price' (line 3). Mend it; or, if it is "
        "the name of a class, leave likelihood='gaussian' out."
    )
    reviews = write(tmp_path / "reviews.csv", "text,label\n" + "".join(f"text {i},{i % 2}\n" for i in range(30)))
    with pytest.raises(InputError) as error:
        datasets.from_text_csv("reviews", reviews, text="label", label="text")
    assert str(error.value) == (
        "Data set 'reviews': the target 'text' has 30 different values in 30 training rows, too many for classes. The "
        "text is the column 'label' and its class 'text'; name others by text=... and label=..."
    )
    bare = write(tmp_path / "bare.csv", "good,pos\nbad,neg\n")
    with pytest.raises(InputError) as error:
        datasets.from_text_csv("reviews", bare)
    assert str(error.value) == (
        f"Unknown column of {bare} 'text'. Known: good, pos. If the file has no header, name its columns, as "
        "columns=('text', 'label')."
    )
    with pytest.raises(InputError) as error:
        datasets.from_text_csv("reviews", reviews, columns=("text", "label"))
    assert str(error.value) == f"Data set 'reviews': {reviews} has the header text, label. Leave columns=... out."


def test_a_decimal_comma_is_told(tmp_path):
    file = write(tmp_path / "commas.csv", "x;y\n0,5;a\n1,5;b\n2,5;a\n")
    with pytest.raises(InputError) as error:
        datasets.from_csv("commas", {"train": file, "test": file}, "y", delimiter=";")
    assert str(error.value) == (
        f"Data set 'commas': {file} has what is no number: '0,5' in column 'x' (line 2). Write decimal points in place "
        "of commas."
    )
    with pytest.raises(InputError, match=r"^Data set 'commas': delimiter is ';;'; expected one character.$"):
        datasets.from_csv("commas", file, "y", delimiter=";;")


def test_a_cell_may_be_long(tmp_path):
    file = write(tmp_path / "long.csv", "text,label\n" + "".join(f"{'word ' * 40_000},{i % 2}\n" for i in range(10)))
    assert Dataset(datasets.from_text_csv("long", file), "test").num_examples == 2


def test_a_gap_in_test_is_filled_with_the_mean_of_train(tmp_path, houses):
    houses["test"] = write(tmp_path / "gap.csv", HOUSES.replace(",70,", ",,"))
    assert Dataset(make(houses, missing="fill"), "test").features[1, 0] == 70  # that of train: 50, 70, 90


def test_a_target_is_never_filled(tmp_path):
    file = write(tmp_path / "gap.csv", HOUSES.replace(",200", ","))
    files = {"train": file, "test": file}
    assert refused(files, missing="fill") == (
        f"Data set 'houses': {file} lacks values in line 4 (the first in column 'price'). Fill them in, or give "
        "missing='drop' to leave such rows out."
    )
    assert Dataset(make(files, missing="drop"), "train").num_examples == 2


def test_ood_files_need_no_target(tmp_path):
    file = write(tmp_path / "known.csv", "x,y\n1,a\n2,b\n3,a\n4,b\n")
    bare = write(tmp_path / "bare.csv", "x\n7\n8\n")
    other = write(tmp_path / "other.csv", "x,y\n9,c\n")
    files = {"train": file, "test": file}
    source = datasets.from_csv("ours", files, "y", ood={"bare": bare, "other": other})
    assert source.splits == ("train", "test", "bare", "other")
    assert Dataset(source, "bare").labels.tolist() == [-1, -1]
    assert Dataset(source, "other").labels.tolist() == [-1]
    assert Dataset(source, "other").features.tolist() == [[9]]
    targets = write(tmp_path / "targets.csv", "x,y\n1,2\n2,3\n")
    with pytest.raises(InputError, match=r"bare.csv has no column 'y', which .*targets.csv has\.$"):
        datasets.from_csv("ours", {"train": targets, "test": targets}, "y", "gaussian", ood={"bare": bare})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "FILE is empty."),
        (" \n\n", "FILE is empty."),
        (HOUSES.splitlines()[0], "FILE has a header and no rows."),
        (HOUSES + "4,Oslo, Norway,50,2,100\n", "FILE, line 5, has 6 cells, and there are 5 columns. A cell that holds "
         "',' has to stand in quotation marks."),
        (HOUSES + "4,Oslo\n", "FILE, line 5, has 2 cells, and there are 5 columns. Write id, city, country, "
         "size, rooms, price, with ',' between them."),
        (HOUSES + '4,"Oslo,50,2,100\n', "FILE, the row that begins in line 5 is no CSV (unexpected end of data). "
         "Within quotation marks, write two of them for one."),
        (HOUSES.replace("rooms", "size"), "FILE has two columns named 'size'. Rename or remove one."),
        (HOUSES.replace("rooms", ""), "column 4 of FILE has no name in the header."),
        (HOUSES.replace(",", ";"), "FILE has one column, 'id;\"city; country\";size;rooms;price'. Its cells seem to be "
         "separated otherwise: give delimiter=';'."),
        (HOUSES.replace(",70,", ",'seventy',").replace(",5,", ",5 rooms,"), "FILE has what is no number: \"'seventy'\" "
         "in column 'size' (line 3), '5 rooms' in column 'rooms' (line 4). Mend it, or name the column in "
         "categorical=(...) or ignore=(...)."),
        (HOUSES.replace(",70,", ",inf,"), "FILE has what is no number: 'inf' in column 'size' (line 3). Mend it, or "
         "name the column in categorical=(...) or ignore=(...)."),
        (HOUSES.replace(",200", ",2_00"), "FILE has what is no number: '2_00' in column 'price' (line 4). Mend it; or, "
         "if it is the name of a class, leave likelihood='gaussian' out."),
    ],
)  # fmt: skip
def test_wrong_files(tmp_path, text, said):
    file = write(tmp_path / "wrong file.csv", text)
    assert refused({"train": file, "test": file}) == f"Data set 'houses': {said}".replace("FILE", str(file))


def test_wrong_encodings(tmp_path):
    file = write(tmp_path / "latin.csv", HOUSES, "latin-1")
    said = refused(file)
    assert said.startswith(f"Data set 'houses': {file} is not in utf-8 (line 3: 'utf-8' codec can't decode byte 0xf6 ")
    assert said.endswith("Save it in UTF-8, or give its encoding, as encoding='latin-1'.")
    assert refused(write(file, HOUSES, "utf-16")).endswith("as encoding='utf-16'.")
    assert refused(file, encoding="utf8x").endswith(
        "there is no encoding 'utf8x'; try utf-8, latin-1, cp1252 or utf-16."
    )


def test_wrong_places(tmp_path, houses):
    nowhere = tmp_path / "nowhere.csv"
    assert refused(nowhere) == f"Data set 'houses': there is no file {nowhere} (looked for {nowhere})."
    assert refused(tmp_path) == f"Data set 'houses': {tmp_path} is a folder; expected a file."
    assert refused({"test": houses["test"]}) == "Data set 'houses' has the splits test; expected one named 'train'."
    assert "has a split named 'a/b'; expected letters" in refused({**houses, "a/b": houses["test"]})
    assert refused(houses, ood={"test": nowhere}) == "Data set 'houses' has two splits named 'test'. Rename one."
    with pytest.raises(InputError, match="A data set cannot be named 'my houses'; expected letters, digits"):
        datasets.from_csv("my houses", houses, "price")


def test_wrong_columns(tmp_path, houses):
    train = houses["train"]
    known = "Known: city, country, id, price, rooms, size."
    assert refused(houses, target="prize") == f"Unknown column of {train} 'prize'. Did you mean 'price'? {known}"
    assert refused(houses, ignore=("number",)) == f"Unknown column of {train} 'number'. {known}"
    assert refused(houses, ignore="id") == ("Data set 'houses': ignore is 'id'; expected a tuple of names of columns.")
    assert refused(houses, categorical=("price", "id")).startswith("Data set 'houses': column 'price' is categorical, ")
    assert refused(houses, missing="mean") == (
        "Unknown value of missing of data set 'houses' 'mean'. Known: drop, fill, refuse."
    )
    houses["test"] = write(tmp_path / "less.csv", "size,price\n1,2\n")
    assert refused(houses) == (f"Data set 'houses': {houses['test']} has no column 'rooms', which {train} has.")
    more = HOUSES.replace("\n", ",1\n").replace("price,1", "price,more")
    houses["test"] = write(tmp_path / "more.csv", more)
    assert (
        refused(houses) == f"Data set 'houses': {houses['test']} has a column 'more', which {train} lacks. Remove it."
    )


def test_wrong_classes(tmp_path):
    def said(train, test):
        files = {
            split: write(tmp_path / f"{split}.csv", "x,y\n" + "".join(f"0,{label}\n" for label in labels))
            for split, labels in (("train", train), ("test", test))
        }
        with pytest.raises(InputError) as error:
            datasets.from_csv("pets", files, "y")
        return str(error.value).replace(str(tmp_path), "DIR")

    assert said(["cat", "dog"], ["cat", "bird"]) == (
        "Data set 'pets': line 3 of DIR/test.csv is of the class 'bird', and no training example is; these have "
        "'cat', 'dog'. Mend it, leave it out, or give examples of no known class as ood=..."
    )
    assert said(["cat", "cat"], ["cat"]) == (
        "Data set 'pets' has only the class 'cat' in its training examples; expected two or more."
    )
    assert said(range(50), ["1"]) == (
        "Data set 'pets': the target 'y' has 50 different values in 50 training rows, too many for classes. If it is "
        "a number, give likelihood='gaussian'."
    )


def test_too_few_rows_for_a_test_split(tmp_path):
    file = write(tmp_path / "few.csv", "x,y\n1,2\n2,3\n")
    with pytest.raises(InputError, match=r"^test_percent 0.2 of the 2 examples of data set 'few' leaves train or test"):
        datasets.from_csv("few", file, "y", "gaussian")
    with pytest.raises(InputError, match=r"^test_percent of data set 'few' is a fraction in \(0, 1\), received 1.5"):
        datasets.from_csv("few", file, "y", "gaussian", test_percent=1.5)


REVIEWS = """id,review,sentiment
1,"A ""great"" film, really",good
2,"dull
and long",bad
3,Großartig!,good
4,none, bad
"""


def test_texts_become_tokens_of_the_training_rows(tmp_path):
    train = write(tmp_path / "train.csv", "\ufeff" + REVIEWS + "5,a great film,good\n")
    test = write(tmp_path / "test.csv", REVIEWS)
    other = write(tmp_path / "other.csv", "review\ngreat film xyz\n")
    files = {"train": train, "test": test}
    source = datasets.from_text_csv(
        "reviews", files, "review", "sentiment", ood={"other": other}, length=6, vocabulary_size=50
    )
    data, ood = Dataset(source, "train"), Dataset(source, "other")
    assert data.labels.tolist() == [1, 0, 1, 0, 1]  # bad, good
    assert data.element_ids.tolist() == [0, 1, 2, 3, 4]
    assert (data.features.shape, data.input_shape, source.num_classes) == ((5, 6), (6,), 2)
    great, film, unknown = ood.features[0, :3]
    assert unknown == 1
    assert data.features[4].tolist() == [data.features[0, 0], great, film, 0, 0, 0]  # a great film
    assert ood.labels.tolist() == [-1]


def test_texts_without_header_and_quotation(tmp_path):
    text = "".join(f'{"spam" if i % 3 == 0 else "ham"}\t"call" me {i}, now\n' for i in range(30))
    file = write(tmp_path / "sms.tsv", text)
    options = {"delimiter": "\t", "columns": ("label", "text")}
    source = datasets.from_text_csv("sms", file, quoted=False, **options)
    assert [Dataset(source, split).num_examples for split in ("train", "test")] == [24, 6]
    assert np.bincount(Dataset(source, "test").labels).tolist() == [4, 2]
    with pytest.raises(InputError, match=r"sms.tsv, the row that begins in line 1 is no CSV \("):
        datasets.from_text_csv("sms", file, **options)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("text,label\nhi,a\n,b\n", {}, "FILE, line 3, has no text. Fill it in, or remove the row."),
        ("text,label\nhi,a\nho,\n", {}, "FILE, line 3, has no label. Fill it in, or remove the row."),
        ("text,label\nhi,a\nho,a\n", {}, "has only the class 'a' in its training examples; expected two or more."),
        ("hi,a\nho,b,c\n", {"columns": ("text", "label")}, "FILE, line 2, has 3 cells, and there are 2 columns. A cell "
         "that holds ',' has to stand in quotation marks."),
    ],
)  # fmt: skip
def test_wrong_texts(tmp_path, text, options, said):
    file = write(tmp_path / "wrong.csv", text)
    with pytest.raises(InputError) as error:
        datasets.from_text_csv("notes", {"train": file, "test": file}, **options)
    assert str(error.value).removeprefix("Data set 'notes'").removeprefix(":").strip() == said.replace(
        "FILE", str(file)
    )


def test_a_column_of_texts_that_is_not_there(tmp_path):
    file = write(tmp_path / "reviews.csv", REVIEWS)
    with pytest.raises(InputError, match=r"^Unknown column of .*reviews.csv 'text'. Known: id, review, sentiment. If "):
        datasets.from_text_csv("reviews", file)
