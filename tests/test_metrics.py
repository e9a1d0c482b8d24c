import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.metrics import (
    ConfusionMatrix,
    ObjectRecall,
    object_recall,
    recall_by_size,
    trimap_accuracy,
)


@st.composite
def maps(draw: st.DrawFn, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Blocky ground truth with void, and a prediction that is wrong in places."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    block = draw(st.sampled_from([1, 4, 9]))
    ids = np.array([*range(classes), 255], np.uint8)
    small = rng.choice(ids, (height // block + 1, width // block + 1))
    truth = np.kron(small, np.ones((block, block), np.uint8))[:height, :width]
    wrong = rng.random(truth.shape) < draw(st.sampled_from([0, 0.3, 1]))
    return truth, np.where(wrong, rng.choice(ids, truth.shape), truth).astype(np.uint8)


@settings(max_examples=100, deadline=None)
@given(st.lists(maps(), min_size=1, max_size=3))
def test_iou_is_that_of_sets_of_pixels(images: list[tuple[np.ndarray, np.ndarray]]) -> None:
    matrix = ConfusionMatrix(4, targets=(1, 3))
    for truth, prediction in images:
        matrix.update(truth, prediction)
    truth = np.concatenate([image.ravel() for image, _ in images])
    prediction = np.concatenate([image.ravel() for _, image in images])[truth != 255]
    truth = truth[truth != 255]
    want = {
        c: ((truth == c) & (prediction == c)).sum() / ((truth == c) | (prediction == c)).sum()
        for c in range(4)
        if (truth == c).any()
    }
    iou = matrix.iou()
    assert {c for c in range(4) if not np.isnan(iou[c])} == set(want)
    np.testing.assert_allclose([iou[c] for c in want], list(want.values()))
    assert matrix.unseen == tuple(str(c) for c in range(4) if c not in want)
    np.testing.assert_allclose(matrix.miou(), np.mean(list(want.values())) if want else np.nan)
    targets = [want[c] for c in (1, 3) if c in want]
    np.testing.assert_allclose(matrix.target_miou(), np.mean(targets) if targets else np.nan)
    np.testing.assert_allclose(matrix.accuracy(), (truth == prediction).mean() if truth.size else np.nan)


def test_matrices_of_parts_add_up() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 3, (2, 20, 20), np.uint8)
    whole, top, bottom = (ConfusionMatrix(["road", "car", "sky"], targets=[1]) for _ in range(3))
    whole.update(truth, prediction)
    top.update(truth[:7], prediction[:7])
    bottom.update(truth[7:], prediction[7:])
    total = top + bottom
    np.testing.assert_array_equal(total.counts, whole.counts)
    assert total.target_miou() == whole.target_miou()
    assert top.counts.sum() == 140


def test_class_predicted_but_never_seen_has_no_iou_and_costs_the_true_class() -> None:
    matrix = ConfusionMatrix(["road", "car", "sky"])
    matrix.update(np.zeros((1, 4), np.uint8), np.array([[0, 0, 0, 1]], np.uint8))
    np.testing.assert_array_equal(matrix.iou(), [0.75, np.nan, np.nan])
    assert matrix.miou() == 0.75
    assert matrix.unseen == ("car", "sky")


def test_predicting_void_is_a_miss() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([[0, 0, 1]], np.uint8), np.array([[0, 255, 1]], np.uint8))
    np.testing.assert_array_equal(matrix.iou(), [0.5, 1])
    np.testing.assert_array_equal(matrix.counts, [[1, 0, 1], [0, 1, 0]])


def test_nothing_but_void_leaves_no_numbers() -> None:
    matrix = ConfusionMatrix(3, targets=(0,))
    void = np.full((3, 3), 255, np.uint8)
    matrix.update(void, np.zeros((3, 3), np.uint8))
    assert np.isnan([matrix.miou(), matrix.target_miou(), matrix.accuracy()]).all()
    assert trimap_accuracy(void, void).total.sum() == 0
    assert len(object_recall(void, void, np.ones((3, 3), int)).areas) == 0


def test_void_may_have_another_id() -> None:
    matrix = ConfusionMatrix(11, void=11)
    matrix.update(np.array([[3, 11]], np.uint8), np.array([[3, 2]], np.uint8))
    assert matrix.miou() == 1
    assert matrix.counts.sum() == 1


def test_refuses_labels_that_are_no_class() -> None:
    matrix = ConfusionMatrix(3)
    good, bad = np.zeros((2, 2), np.uint8), np.array([[0, 7], [7, 0]], np.uint8)
    message = r"has label 7 in 2 pixels, must be a class \(0..2\) or void \(255\)"
    with pytest.raises(ValueError, match="ground truth " + message):
        matrix.update(bad, good)
    with pytest.raises(ValueError, match="prediction " + message):
        matrix.update(good, bad)
    assert matrix.counts.sum() == 0


def test_what_a_prediction_says_of_void_does_not_matter() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([[0, 255]], np.uint8), np.array([[0, 77]], np.uint8))
    assert matrix.miou() == 1


def test_refuses_maps_that_are_no_pair() -> None:
    message = r"ground truth has shape \(2, 2\), prediction \(2, 3\): must be \(H, W\) and agree"
    with pytest.raises(ValueError, match=message):
        ConfusionMatrix(3).update(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="prediction has dtype float64, must be integer"):
        ConfusionMatrix(3).update(np.zeros((2, 2), np.uint8), np.zeros((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"ground truth has labels -1..0, must lie in 0..255"):
        ConfusionMatrix(3).update(np.array([[-1, 0]]), np.zeros((1, 2), np.uint8))


def test_refuses_matrices_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"targets are \(3,\), must lie in 0..2"):
        ConfusionMatrix(3, targets=[3])
    with pytest.raises(ValueError, match="void is 2, must lie in 3..255 beside 3 classes"):
        ConfusionMatrix(3, void=2)
    with pytest.raises(ValueError, match="there are 0 classes, must be 1 to 255"):
        ConfusionMatrix([])
    with pytest.raises(ValueError, match="confusion matrices of different classes, targets or void"):
        ConfusionMatrix(3) + ConfusionMatrix(3, targets=[1])


@settings(max_examples=100, deadline=None)
@given(maps(), st.lists(st.integers(0, 12), min_size=1, max_size=4))
def test_trimap_counts_pixels_by_exact_distance(
    pair: tuple[np.ndarray, np.ndarray], widths: list[int]
) -> None:
    truth, prediction = pair
    padded = np.pad(truth, 1, mode="edge")
    neighbours = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
    boundary = np.argwhere(np.any([n != truth for n in neighbours], axis=0))
    counts = trimap_accuracy(truth, prediction, widths)
    place = np.argwhere(truth != 255)
    square = ((place[:, None] - boundary) ** 2).sum(axis=2).min(axis=1, initial=10**6)
    right = (truth == prediction)[truth != 255]
    for n, width in enumerate(widths):
        band = square <= width**2
        assert counts.total[n] == band.sum()
        assert counts.correct[n] == (band & right).sum()


def test_band_of_width_one_is_two_pixels_on_either_side() -> None:
    truth = np.repeat([[0, 0, 0, 0, 1, 1, 1, 1]], 3, axis=0).astype(np.uint8)
    prediction = np.zeros_like(truth)
    counts = trimap_accuracy(truth, prediction, [0, 1, 2])
    assert counts.total.tolist() == [6, 12, 18]
    np.testing.assert_array_equal(counts.accuracy(), [0.5, 0.5, 0.5])


def test_trimaps_add_up_over_images() -> None:
    truth = np.array([[0, 1, 1, 1]], np.uint8)
    total = trimap_accuracy(truth, truth, [1, 2]) + trimap_accuracy(truth, 1 - truth, [1, 2])
    assert total.total.tolist() == [6, 8]
    assert total.accuracy().tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match=r"trimaps of different widths: \(1, 2\) and \(1,\)"):
        total + trimap_accuracy(truth, truth, [1])


def test_map_of_one_class_has_no_band() -> None:
    truth = np.zeros((5, 5), np.uint8)
    counts = trimap_accuracy(truth, truth)
    assert counts.widths == tuple(range(1, 65))
    assert not counts.total.any()
    assert np.isnan(counts.accuracy()).all()


@pytest.mark.parametrize("widths", [[], [-1], [1.5]])
def test_refuses_widths_that_are_no_pixels(widths: list[int]) -> None:
    with pytest.raises(ValueError, match="must be whole numbers of pixels, 0 or more"):
        trimap_accuracy(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), widths)


def test_recall_of_annotated_instances() -> None:
    truth = np.array([[1, 1, 1, 2], [0, 255, 1, 2], [0, 0, 0, 2]], np.uint8)
    instances = np.array([[7, 7, 9, 5], [0, 7, 9, 5], [0, 0, 0, 5]], np.uint16)
    prediction = np.array([[1, 0, 1, 2], [0, 1, 1, 2], [0, 0, 0, 0]], np.uint8)
    found = object_recall(truth, prediction, instances)
    assert found.source == "instances"
    assert found.classes.tolist() == [1, 1, 2]
    assert found.areas.tolist() == [2, 2, 3]  # the void pixel of instance 7 is none of its area
    np.testing.assert_allclose(found.recalls, [0.5, 1, 2 / 3])
    assert object_recall(truth, prediction, instances, targets=[2]).areas.tolist() == [3]


def test_instance_takes_the_class_of_most_of_its_pixels() -> None:
    truth = np.array([[3, 3, 1], [2, 2, 2]], np.uint8)
    found = object_recall(truth, truth, np.array([[4, 4, 4], [6, 6, 0]]))
    assert found.classes.tolist() == [2, 3]
    assert found.areas.tolist() == [2, 2]


def test_components_stand_in_for_instances_and_say_so() -> None:
    truth = np.array([[1, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 1]], np.uint8)
    found = object_recall(truth, np.ones_like(truth), None, targets=[1, 2])
    assert found.source == "components"
    assert found.classes.tolist() == [1, 1, 2]
    assert found.areas.tolist() == [2, 1, 2]  # corners connect, classes do not, and one pixel is an object
    assert found.recalls.tolist() == [1, 1, 0]


def test_recall_needs_objects() -> None:
    truth = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="object recall needs target classes where there are no instances"):
        object_recall(truth, truth, None)
    with pytest.raises(ValueError, match=r"instances have shape \(3, 3\), ground truth \(2, 2\): must agree"):
        object_recall(truth, truth, np.zeros((3, 3), int))


def objects(areas: list[int], recalls: list[float], classes: list[int]) -> ObjectRecall:
    return ObjectRecall("instances", np.array(classes), np.array(areas), np.array(recalls))


def test_bins_hold_equally_many_objects() -> None:
    some = objects([50, 1, 4, 9, 3], [0.5, 0, 0.4, 1, 0.2], [1, 1, 1, 1, 1])
    overall, by_class = recall_by_size(some + objects([700], [0.9], [2]), bins=3)
    assert [bin.count for bin in overall] == [2, 2, 2]
    assert [(bin.smallest, bin.largest) for bin in overall] == [(1, 3), (4, 9), (50, 700)]
    np.testing.assert_allclose([bin.recall for bin in overall], [0.1, 0.7, 0.7])
    assert list(by_class) == [1, 2]
    assert [bin.count for bin in by_class[1]] == [2, 2, 1]
    assert [bin.count for bin in by_class[2]] == [1, 0, 0]
    assert np.isnan(by_class[2][1].recall)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4), st.integers(0, 2)), min_size=1), st.randoms())
def test_bins_do_not_depend_on_the_order_of_objects(rows, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = rows.copy()
    random.shuffle(shuffled)
    one, other = (
        recall_by_size(objects([a for a, _, _ in some], [r / 4 for _, r, _ in some], [c for _, _, c in some]))
        for some in (rows, shuffled)
    )
    assert str(one) == str(other)


def test_objects_of_both_kinds_add_up_and_say_so() -> None:
    truth = np.ones((2, 2), np.uint8)
    assert (object_recall(truth, truth, truth) + object_recall(truth, truth, None, [1])).source == "mixed"
    with pytest.raises(ValueError, match="number of bins is 0, must be at least 1"):
        recall_by_size(object_recall(truth, truth, truth), bins=0)
