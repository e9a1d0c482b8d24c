"""How good a segmentation is: IoU over a split, accuracy near boundaries, recall of single objects.

All take label maps at the crop's full resolution, in train ids, and give something that adds up over images.
"""

from pipeline.metrics.confusion import ConfusionMatrix
from pipeline.metrics.objects import ObjectRecall, SizeBin, object_recall, recall_by_size
from pipeline.metrics.trimap import TrimapCounts, trimap_accuracy

__all__ = [
    "ConfusionMatrix",
    "ObjectRecall",
    "SizeBin",
    "TrimapCounts",
    "object_recall",
    "recall_by_size",
    "trimap_accuracy",
]
