import pytest

from search.data.formats.tfds_reading import Feature, choose
from search.errors import DataError

IMAGE = Feature("image", "image", (28, 28, 1), "uint8")
LABEL = Feature("label", "label", classes=("cat", "dog"))
COARSE = Feature("coarse_label", "label", classes=("pet", "wild"))
TEXT = Feature("text", "text")
TITLE = Feature("title", "text")
NUMBER = Feature("idx", "Tensor")


def chosen(*features: Feature, supervised: tuple[str, ...] = ()) -> tuple[str, str]:
    choice = choose(features, supervised, "set")
    return choice.sample.name, choice.label.name


def test_one_sample_and_one_label_need_no_hint() -> None:
    assert chosen(NUMBER, LABEL, IMAGE) == ("image", "label")
    assert chosen(TEXT, LABEL, NUMBER) == ("text", "label")


def test_what_the_dataset_itself_names_goes_before_all_else() -> None:
    assert chosen(IMAGE, COARSE, LABEL, supervised=("image", "label")) == ("image", "label")
    assert chosen(TITLE, TEXT, LABEL, supervised=("text", "label")) == ("text", "label")
    assert chosen(IMAGE, TEXT, LABEL, supervised=("text", "label")) == ("text", "label")


def test_a_target_that_is_no_label_is_passed_over() -> None:
    assert chosen(IMAGE, LABEL, supervised=("image", "image")) == ("image", "label")


def test_a_text_beside_an_image_is_its_files_name() -> None:
    assert chosen(Feature("image/filename", "text"), IMAGE, LABEL) == ("image", "label")


def test_images_may_vary_in_size() -> None:
    assert chosen(Feature("image", "image", (None, None, 3), "uint8"), LABEL)[0] == "image"


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ((IMAGE, NUMBER), "one class label among its features; it has 0: image (image), idx (Ten"),
        ((IMAGE, LABEL, COARSE), "one class label among its features; it has 2: image (image), l"),
        ((LABEL, NUMBER), "one image or one text, not a pair, among its features; it has 0: label"),
        ((TEXT, TITLE, LABEL), "not a pair, among its features; it has 2: text (text), title (te"),
        ((), "it has 0: none"),
        ((IMAGE, Feature("label", "label")), "the label must name its classes; label does not"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_with_all_features(
    features: tuple[Feature, ...], said: str
) -> None:
    with pytest.raises(DataError) as caught:
        choose(features, (), "set")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((28, 28, 1), "float32"), ((28, 28, 4), "uint8"), ((28, 28, 1), "uint16")]
)
def test_images_of_another_kind_are_refused(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(DataError, match=f"images must be uint8 .* image is {dtype}"):
        choose([Feature("image", "image", shape, dtype), LABEL], (), "set")
