"""The equality with the reference's shifted images is in tests/reference."""

import pytest
import torch

from mrq_core.augmentation import NoAugmentation, RandomShift, augmentation, shift

# Two rows, three columns.
IMAGE = torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.uint8)[None, None]


@pytest.mark.parametrize(
    ("xy", "expected"),
    [
        ((1, 1), [[1, 2, 3], [4, 5, 6]]),
        ((0, 1), [[1, 1, 2], [4, 4, 5]]),  # the window moves left, the image right
        ((2, 1), [[2, 3, 3], [5, 6, 6]]),
        ((1, 0), [[1, 2, 3], [1, 2, 3]]),
        ((2, 2), [[5, 6, 6], [5, 6, 6]]),
    ],
)
def test_a_window_of_the_image_with_repeated_edges(
    xy: tuple[int, int], expected: list[list[int]]
) -> None:
    moved = shift(IMAGE, torch.tensor([xy]), pad=1)

    assert moved[0, 0].tolist() == expected
    assert moved.dtype == torch.uint8


def test_every_input_has_its_own_shift_and_the_frames_of_one_share_it() -> None:
    images = torch.arange(49, dtype=torch.uint8).view(1, 1, 1, 7, 7).expand(40, 3, 2, 7, 7)

    moved = RandomShift(2)(images, torch.Generator().manual_seed(0))

    assert moved.shape == images.shape
    assert torch.equal(moved[:, :, 0], moved[:, :, 1])
    different = {tuple(image.flatten().tolist()) for image in moved[:, :, 0].flatten(0, 1)}
    assert len(different) == 25  # of (2 x 2 + 1)^2 shifts, in 120 draws


def test_vectors_and_pad_zero_are_left_alone() -> None:
    assert isinstance(augmentation(4, (17,)), NoAugmentation)
    assert isinstance(augmentation(0, (3, 84, 84)), NoAugmentation)
    assert isinstance(augmentation(4, (3, 84, 84)), RandomShift)
