"""Labels of many images of one shape on a GPU, by replaying a CUDA graph."""

import torch
from torch import Tensor

from pipeline.inference import rasters
from pipeline.inference.segmenter import AdaptiveSegmenter


class Replay:
    """`AdaptiveSegmenter.labels` of images of one shape, recorded once.

    From one image to its labels a segmenter starts some hundred kernels, and a GPU waits for them to be
    started: small networks take as long as large ones. A graph of all of them is started at once.

    Parameters
    ----------
    segmenter
        On a GPU, in evaluation mode. Its weights may change later, but stay where they are: move it to no
        other device.
    images
        (B, 3, S, S) of the shape and dtype that all others have, on the same GPU.

    Raises
    ------
    ValueError
        The images are not on a GPU for which Triton makes kernels, or the segmenter is in training mode.
    """

    def __init__(self, segmenter: AdaptiveSegmenter, images: Tensor) -> None:
        if not rasters.available(images.device):
            raise ValueError(f"images are on {images.device}, must be on a GPU, and Triton installed")
        if segmenter.training:
            raise ValueError("the segmenter is in training mode: call eval() first")
        self._segmenter, self._images = segmenter, images.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(images.device):
            self._warm_up()
            with torch.cuda.graph(self._graph):
                self._labels = segmenter.labels(self._images)

    def __call__(self, images: Tensor) -> Tensor:
        """The class of every pixel, (B, S, S) uint8.

        Raises
        ------
        ValueError
            The images have another shape or dtype.
        """
        wanted = self._images
        if images.shape != wanted.shape or images.dtype != wanted.dtype:
            raise ValueError(
                f"images have shape {tuple(images.shape)} and dtype {images.dtype}, "
                f"must be {tuple(wanted.shape)} {wanted.dtype} as the recorded ones"
            )
        with torch.cuda.device(wanted.device):
            wanted.copy_(images, non_blocking=True)
            self._graph.replay()
            return self._labels.clone()

    def _warm_up(self) -> None:
        """What is done at first alone, such as compilation, must not be recorded."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        current = torch.cuda.current_stream()
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(3):
                self._segmenter.labels(self._images)
        current.wait_stream(side)
