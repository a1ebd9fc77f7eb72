"""Whether a chip shows enough of a slump to be labelled with it: the rule of data sets and of training."""

#: Least share of a slump's area that a chip must show, 0..1.
MIN_VISIBLE_SHARE = 0.3

#: Least number of pixels of a slump; with fewer, neither a network nor a person can recognise it.
MIN_VISIBLE_PX = 6


def is_visible(share: float, pixels: int, min_share: float = MIN_VISIBLE_SHARE) -> bool:
    """Whether a slump counts as visible in a chip. A slump that does not is ignored: neither slump nor background.

    Args:
        share: the share of the slump's area that the chip shows, 0..1.
        pixels: the number of pixels of the slump in the chip.
        min_share: the least share, 0..1.
    """
    return share >= min_share and pixels >= MIN_VISIBLE_PX
