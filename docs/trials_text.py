"""The words of docs/trials.md; figures in braces are filled in by trials.py."""

TEXT = """\
# Trials

What was tried to make the gain larger, and what came of it. [Results](results.md) has what trained networks gain.

## What says where the samples lie

The bound is what `adaprep upper-bound` gives for samples that are all classified right: mIoU over all classes / over targets, at
the full resolution of the central squares. It depends on the tensors alone and tells the trials apart before a base network is
trained. Auxiliary networks: 100 epochs, lambda 0.5, the best epoch by validation loss; mean and standard deviation over
seeds. `bash workflows/trials.sh CAMVID DRONE` trains what is in the tables and writes them.

{tables}

{findings}

{networks}

{others}

{older}
"""

FINDINGS = """\
What follows from these bounds, before any base network is trained:

- **The fixed warp takes most of what there is on CamVid and little on drone images.** Against uniform samples the ground truth's
  proposals (lambda 0.5) would gain {truth_streets} points on targets at 32 / 64 / 128 px on CamVid and {truth_drone} on drone images;
  the fixed warp of lambda 1 gains {warp_streets} and {warp_drone}. Streets look alike, photos from above do not.
- **What predictions can add to the fixed warp is small**: on targets {predicted_streets} points on CamVid and {predicted_drone} on drone images,
  with EfficientNet-Lite0 at 32 px, squares or turns, mirrored. Even perfect predictions would add {perfect_streets} and {perfect_drone} to it. A base network that
  gains more than that on the best baseline gains it from something else than where its samples lie.
- **ImageNet weights in the auxiliary network help** on both data sets, {weights_streets} and {weights_drone} points, at 32 px about the spread over seeds, at half
  the multiply-adds (0.005 against 0.011 GMACs). A larger input helps on drone images, by {larger_drone} points in one seed.
- **The default's 256 features gain little**: against 64 of the plain encoder {wide_streets} and {wide_drone} points at fifteen
  times the multiply-adds, and EfficientNet-Lite0 with 64 features differs from them by {light_streets} and {light_drone} at a thirtieth.
- **Nearest pixels do for the auxiliary network's small image**: against box means {nearest_streets} and {nearest_drone} points. They are
  what makes labels of a large image at 64 px at most 1.15 x as slow as with uniform samples ([performance](performance.md#one-large-image)).
- **The solver as the last layer makes no difference** that three seeds can show: {solver_streets} and {solver_drone} points against the same
  encoder without it.
- **A lower validation loss is not yet a higher bound.** Auxiliary networks overfit: with ImageNet weights the best epoch is one of the first
  25 of 100, and on CamVid the training loss falls to a sixth of the validation loss. Zoomed squares (`--aux-zoom 1`) on CamVid and
  turned images (`--augment turn=0.75`) on drone images, which have no upper side, with `--aux-mirrored`, overfit later and lower the
  validation loss, on drone images by a tenth. The bound gains {more_streets} and {more_drone} points by that: less than
  the spread over seeds on CamVid. Turns and squares together are no better than turns.
- **Lambda 1 makes the better fixed warp** for targets, lambda 0.5 the better proposals.
- **Two passes need a first network that finds the targets.** Here it is EfficientNet-Lite0 at 32 px: too weak, on drone images worse
  than uniform samples (its mIoU on targets is 0.001 there).
- **The higher the resolution, the less is to be had** from the samples' places: predictions gain {best_streets} and {best_drone}
  on uniform samples."""

NETWORKS = """\
## Base networks

Each option of `adaprep train` below has tests of its own and is off by default. U-Net, {trained}; `adaprep
run workflows/*-trials.yaml` trains them, here at 32 px alone, on a CPU. mIoU over all classes / over targets, at the full resolution of
the central squares of val, means over seeds and standard deviations where there are several; in parentheses the difference in
points to the same samples without the option, in brackets 95 % intervals of a bootstrap over images. These know nothing of
seeds: one seed that is not beyond the spread of the first row says nothing. The epoch is the best on the same images; with a star,
where it is the last, so that more epochs may have done better. The last two rows are not in the recipe: `adaprep train --network
auxiliary --finetune BASE --learning-rate 1e-4 --epochs 30`, and then its options with `--checkpoint` and a `--tag`; and its options with
`--grid 16 --lambda 2.3`, solved for before.

{tables}

{findings}"""

NETWORK_FINDINGS = """\
- **Anti-aliased warps help over all classes**: the fixed warp from {mean} to {mean_area}, predicted samples from {adaptive} to {adaptive_area}, with
  intervals above 0; uniform ones from {uniform} to {uniform_area}. On targets the seeds differ by as much as what they gain. Where a warp
  samples coarsely, nearest pixels are noise. Anti-aliased on both sides, predictions differ from uniform samples by {adaptive_area_gain_target_miou} points on
  targets and {adaptive_area_gain_miou} over all classes (three seeds); than the fixed warp they are not better.
- **Zoomed squares help uniform samples**: from {uniform} to {uniform_zoom}, the best of the table over all classes. Warped samples gain nothing by
  them that one seed can show ({mean} to {mean_zoom}, {adaptive} to {adaptive_zoom}): a square of a street is not arranged as a street is, and that
  all of them are is what a warp lives on.
- **A loss that weighs boundaries more** helps uniform samples in both figures ({uniform} to {uniform_boundary}) and predicted ones on targets ({adaptive} to
  {adaptive_boundary}), one seed each; the fixed warp gains nothing by it ({mean_boundary}). With anti-aliased samples: uniform {uniform_area_boundary}, fixed warp
  {mean_area_boundary}, predicted {adaptive_area_boundary}.
- **Class weights** lift the fixed warp's targets ({mean} to {mean_median}, one seed); predicted samples lose over all classes by them ({adaptive} to
  {adaptive_median}), and for uniform ones no difference can be told from chance.
- **Weights by the cell's area make no difference** that one seed can show ({adaptive} to {adaptive_root} with the root of the area, {adaptive_areas} with the
  area); **the tensor as channels costs** over all classes ({adaptive_channels}).
- **Finetuning costs on targets** ({adaptive} to {adaptive_finetuned}, one seed): its loss is about that of all pixels, most of which are no targets.
- **Tensors of 16 x 16 make no difference** that one seed can show ({mean} to {mean_finer}, {adaptive} to {adaptive_finer})."""

OTHERS = """\
## Elsewhere, or not tried

| candidate | how | measured |
|---|---|---|
| 64 and 128 px of all of these | `workflows/*-trials.yaml` | no: a GPU's work |
| ImageNet weights in the base network | `--architecture efficientnet-lite0` | CamVid by sequence at 32 and 64 px: [results](results.md); drone images (`drone-efficientnet.yaml`): no |
| ImageNet weights in the auxiliary network | `--aux-encoder efficientnet-lite0` | its bound, above |
| the solver as the last layer | `--aux-head solver` | its bound, above |
| grids of 32 x 32, lambda per image | `--grid`, `--lambda` | their bounds: [choosing](choosing.md) |
| the labels of the last frame, or of a first pass | `--sampler previous`, `twice` | two passes: above, and [results](results.md) |"""
