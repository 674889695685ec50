"""Pictures of arrays: samples of images, class means, and what varies together."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from search.data.arrays import pieces
from search.data.description import Description
from search.data.inputs import columns_of
from search.data.pictures import LINES, draw_sequence
from search.data.reading import CATEGORY, Column
from tracking.plots.style import (
    GREY,
    PAPER,
    SMALL,
    TEXT,
    TITLE,
    Matrix,
    bars,
    class_names,
    fitted,
    folded,
    image,
    page,
    plain,
    text_width,
    write,
)

Pixels: TypeAlias = NDArray[np.uint8]
Correlation: TypeAlias = NDArray[np.float64]  # (n, n) of -1 to 1; NaN where a feature never changes
Rows: TypeAlias = Callable[[], Iterator[NDArray[Any]]]  # (some, features), a piece at a time

SAMPLES, SAMPLED_CLASSES = 10, 10
SMALL_TILE, LARGE_TILE = 64, 96  # pixels; images of more than SMALL_TILE are shown larger
SEQUENCES, SEQUENCE_TILE = 5, (150, 64)
MEAN_CLASSES, MEAN_TILE, MEAN_CELL, MEAN_COLUMNS = 100, 96, 124, 7
NAMES, GAP = 180, 4
COLOURS, YELLOW, CONSTANT = "RdBu_r", (255, 230, 0), "#e1e1e1"
SIDE = 560  # pixels of a matrix
NAMED, WRITTEN, MOST_COLUMNS = 40, 12, SIDE
COARSE, FINE = 7, 14  # pixels along the longer side
NEVER_CHANGES = 1e-10  # of the mean's size; below it a deviation is rounding


def samples_figure(description: Description) -> Figure:
    """Draw ten training images of each group, a group a row; of more than ten the ten largest.

    The images are spread evenly over the training set, so that the picture is always the same.
    """
    dataset = description.dataset
    images = dataset.train_images
    chosen = largest_groups(description, SAMPLED_CLASSES)
    every = group_names(description)
    side = SMALL_TILE if max(images.shape[1:3]) <= SMALL_TILE else LARGE_TILE
    tiles = [
        [enlarged(np.asarray(images[index]), side) for index in _spread(description, group)]
        for group in chosen
    ]
    high, wide = tiles[0][0].shape[:2]
    ground = _white(len(chosen) * (high + GAP), SAMPLES * (wide + GAP))
    figure, drawn = page(ground.shape[1], ground.shape[0])
    title = f"{plain(dataset.title)}: training images of {of_groups(description, chosen)}"
    names = [fitted(every[group], TEXT, NAMES) for group in chosen]
    write(drawn, -12 - max(text_width(name, TEXT) for name in names), -30, title, size=TITLE)
    for row, (name, some) in enumerate(zip(names, tiles, strict=True)):
        top = row * (high + GAP)
        write(drawn, -12, top + high / 2, name, align="right")
        for column, tile in enumerate(some):
            _paste(ground, tile, column * (wide + GAP), top)
    image(drawn, ground, 0, 0)
    return figure


def sequences_figure(description: Description) -> Figure:
    """Draw some training sequences of each group over time, a group a row.

    Each feature has a scale of its own, from its lowest value in the training set to its highest.
    """
    dataset = description.dataset
    series = np.asarray(dataset.train_samples)
    chosen = largest_groups(description, SAMPLED_CLASSES)
    names = group_names(description)
    lowest, highest = series.min(axis=(0, 1)), series.max(axis=(0, 1))
    wide, high = SEQUENCE_TILE
    ground = _white(len(chosen) * (high + GAP), SEQUENCES * (wide + GAP))
    figure, drawn = page(ground.shape[1], ground.shape[0])
    shown = min(description.shape[1], len(LINES))
    which = "" if shown == description.shape[1] else f", the first {shown} features"
    title = f"{plain(dataset.title)}: training sequences of {of_groups(description, chosen)}"
    texts = [fitted(names[group], TEXT, NAMES) for group in chosen]
    left = -12 - max(text_width(text, TEXT) for text in texts)
    write(drawn, left, -30, f"{title}{which}", size=TITLE)
    for row, (group, text) in enumerate(zip(chosen, texts, strict=True)):
        top = row * (high + GAP)
        write(drawn, -12, top + high / 2, text, align="right")
        for column, index in enumerate(_spread(description, group)[::2][:SEQUENCES]):
            tile = draw_sequence(series[index], lowest, highest, SEQUENCE_TILE)
            _paste(ground, np.asarray(tile), column * (wide + GAP), top)
    image(drawn, ground, 0, 0)
    return figure


def class_means_figure(description: Description) -> Figure:
    """Draw the mean training image of each group; of more than 100 groups the 100 largest."""
    dataset = description.dataset
    chosen = largest_groups(description, MEAN_CLASSES)
    names = group_names(description)
    texts = [folded(names[group], TEXT, MEAN_CELL - 8) for group in chosen]
    means = _means(dataset.train_images, [description.groups[group].rows for group in chosen])
    tiles = [enlarged(np.round(mean).astype(np.uint8), MEAN_TILE) for mean in means]
    high, wide = tiles[0].shape[:2]
    rows = -(-len(chosen) // MEAN_COLUMNS)
    columns = -(-len(chosen) // rows)
    step = high + 34 + 16 * max(map(len, texts))
    ground = _white(rows * step, columns * MEAN_CELL)
    figure, drawn = page(ground.shape[1], ground.shape[0])
    title = f"{plain(dataset.title)}: mean training image of {of_groups(description, chosen)}"
    write(drawn, 0, -30, title, size=TITLE)
    for number, (lines, mean, tile) in enumerate(zip(texts, means, tiles, strict=True)):
        left, top = number % columns * MEAN_CELL, number // columns * step
        middle = left + MEAN_CELL / 2
        _paste(ground, tile, left + (MEAN_CELL - wide) // 2, top)
        for row, line in enumerate(lines):
            write(drawn, middle, top + high + 13 + 16 * row, line, align="center")
        below = top + high + 13 + 16 * len(lines)
        text = f"mean {mean.mean():.0f}"
        write(drawn, middle, below, text, size=SMALL, align="center", colour=GREY)
    image(drawn, ground, 0, 0)
    return figure


def largest_groups(description: Description, most: int) -> list[int]:
    """Return the numbers of the largest groups that have training samples, in order."""
    sizes = [len(group.rows) for group in description.groups]
    present = [number for number, size in enumerate(sizes) if size]
    return sorted(sorted(present, key=lambda number: -sizes[number])[:most])


def of_groups(description: Description, chosen: Sequence[int]) -> str:
    """Say which groups are drawn."""
    noun = description.noun
    if len(chosen) == len(description.groups):
        return f"each {noun}"
    nouns = "classes" if noun == "class" else f"{noun}s"
    return f"the {len(chosen)} largest of {len(description.groups):,} {nouns}"


def group_names(description: Description) -> list[str]:
    """Return the names of groups for pictures."""
    return class_names([group.name for group in description.groups])


def shrunk(images: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Return images whose longer side has at most `side` pixels, by averaging blocks.

    Args:
        images: (n, height, width, channels); rows and columns that fill no block are cut evenly.
        side: pixels.
    """
    high, wide = images.shape[1:3]
    block = -(-max(high, wide) // side)
    down, across = min(block, high), min(block, wide)
    rows, columns = high // down, wide // across
    top, left = (high - rows * down) // 2, (wide - columns * across) // 2
    cut = images[:, top : top + rows * down, left : left + columns * across]
    means = np.zeros((len(images), rows, columns, images.shape[-1]), np.float32)
    # Adding up every block's first pixels, then their second...: ten times as quick as `mean`.
    for y, x in np.ndindex(down, across):
        means += cut[:, y::down, x::across]
    means /= down * across
    return means


def _spread(description: Description, group: int) -> NDArray[np.int64]:
    """Return indices of at most `SAMPLES` samples of a group, spread over all of them."""
    indices = description.groups[group].rows
    places = np.linspace(0, len(indices) - 1, min(SAMPLES, len(indices))).round().astype(np.int64)
    return indices[places]


def _means(
    images: NDArray[np.uint8], members: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.float64]]:
    """Return mean images of groups of samples, shrunk to the size of a tile where larger."""
    shape = shrunk(images[:1], MEAN_TILE).shape[1:]
    sums = np.zeros((len(members), *shape))
    for where, piece in pieces(images):
        small = shrunk(piece, MEAN_TILE)
        for row, rows in enumerate(members):
            first, last = np.searchsorted(rows, (where.start, where.stop))
            sums[row] += small[rows[first:last] - where.start].sum(axis=0, dtype=np.float64)
    return [total / len(rows) for total, rows in zip(sums, members, strict=True)]


def correlation(rows: Rows) -> Correlation:
    """Return the correlation of every two features, over the samples that have both.

    Args:
        rows: gives all samples anew each time it is called.
    """
    total, count = np.zeros(next(rows()).shape[1]), 0
    for piece in rows():
        if np.isnan(piece).any():
            return _correlation_with_gaps(rows)
        total, count = total + piece.sum(axis=0, dtype=np.float64), count + len(piece)
    mean, products = total / count, np.zeros((len(total), len(total)))
    for piece in rows():
        centred = piece - mean
        products += centred.T @ centred
    std = np.sqrt(np.diagonal(products) / count)
    std = np.where(std > NEVER_CHANGES * np.abs(mean), std, np.nan)
    matrix: Correlation = np.clip(products / count / np.outer(std, std), -1, 1)
    return matrix


def _correlation_with_gaps(rows: Rows) -> Correlation:
    total, given = 0.0, 0
    for piece in rows():
        total, given = total + np.nansum(piece, axis=0), given + (~np.isnan(piece)).sum(axis=0)
    mean = total / np.maximum(given, 1)
    size = len(mean)
    counts, sums, squares, products = (np.zeros((size, size)) for _ in range(4))
    for piece in rows():
        there = (~np.isnan(piece)).astype(np.float64)
        centred = np.nan_to_num(piece - mean)
        counts += there.T @ there
        sums += centred.T @ there  # of each feature over the samples that have the other one
        squares += (centred**2).T @ there
        products += centred.T @ centred
    with np.errstate(invalid="ignore", divide="ignore"):
        of_pair = sums / counts
        std = np.sqrt(np.maximum(squares / counts - of_pair**2, 0))
        std = np.where(std > NEVER_CHANGES * np.abs(mean)[:, np.newaxis], std, np.nan)
        covariance = products / counts - of_pair * of_pair.T
        matrix: Correlation = np.clip(covariance / (std * std.T), -1, 1)
    return matrix


def has_correlation(description: Description) -> bool:
    """Return whether a table has columns of which a correlation can be drawn."""
    return bool(description.numbers or _measured(columns_of(description.dataset)))


def columns_figure(description: Description) -> Figure:
    """Draw the correlation of a table's columns, or of the features of sequences.

    Numbers to predict stand behind a table's columns.

    Of very many the first `MOST_COLUMNS` are drawn.

    Categories have none and are left out. Of two columns with gaps, the rows that have both count;
    of sequences every step does.
    """
    dataset, of = description.dataset, "columns"
    rows = np.asarray(dataset.train_samples)
    if dataset.kind == "sequence":
        rows, of = rows.reshape(-1, rows.shape[-1]), "features"
        columns = tuple(Column(f"feature {number}") for number in range(1, rows.shape[-1] + 1))
    else:
        columns = columns_of(dataset)
        if description.numbers:
            rows = np.concatenate([rows, np.asarray(dataset.train_labels)], axis=1)
            columns = (*columns, *(Column(f"{name} (target)") for name in dataset.classes))
            of = "columns and the target"
    measured = _measured(columns)
    shown = measured[:MOST_COLUMNS]
    matrix = correlation(lambda: (piece[:, shown] for _, piece in pieces(rows)))
    names = class_names(tuple(columns[number].name for number in shown))
    title = f"{plain(dataset.title)}: correlation of the {of}"
    left = f", {len(columns) - len(measured):,} of categories left out"
    more = left if len(measured) < len(columns) else ""
    if len(shown) < len(measured):
        title += f" (the first {len(shown):,} of {len(measured):,}{more})"
    elif more:
        title += f" ({more.removeprefix(', ')})"
    return _matrix_figure(matrix, names, title)


def _measured(columns: Sequence[Column]) -> list[int]:
    """Return the columns, by index, whose values are more or less of something."""
    return [number for number, column in enumerate(columns) if column.type != CATEGORY]


def pixels_figure(description: Description) -> Figure:
    """Draw the correlation of pixels, of images shrunk to at most 14 x 14 grey pixels.

    On the left as a matrix of still fewer pixels, row by row of the image. On the right the same
    where it belongs: a small map for each of these pixels, at its place in the image.
    """
    images = description.dataset.train_images
    fine = correlation(lambda: _grey(images, FINE))
    coarse = correlation(lambda: _grey(images, COARSE))
    title = f"{plain(description.dataset.title)}: correlation of the pixels"
    return _pixels_figure(title, description.shape, fine, coarse)


def _grey(images: NDArray[np.uint8], side: int) -> Iterator[NDArray[np.float32]]:
    for _, piece in pieces(images):
        small = shrunk(piece, side).mean(axis=-1)
        yield small.reshape(len(piece), -1)


def _matrix_figure(values: Correlation, names: Sequence[str], title: str) -> Figure:
    count = len(values)
    cell = max(1, min(46, SIDE // count))
    side, letters = cell * count, min(TEXT, max(cell - 1, 9))
    figure, drawn = page(side, side)
    left = -30.0
    if count <= NAMED:
        shown = [fitted(name, letters, 170) for name in names]
        left = -12 - max(text_width(name, letters) for name in shown)
        matrix = Matrix(figure, shown, (0, 0), cell)
        matrix.colour(heat(_scaled(values), COLOURS) / 255)
        matrix.name(letters)
        if count <= WRITTEN:
            _write_values(matrix, values)
    else:
        image(drawn, heat(_scaled(values), COLOURS), 0, 0, cell)
        _number_axes(drawn, cell, count)
    write(drawn, left, -30, title, size=TITLE)
    _draw_scale(drawn, side + 24, 0)
    return figure


def _number_axes(drawn: Axes, cell: int, count: int) -> None:
    step = next(step for step in (5, 10, 20, 50, 100) if step * cell >= 30)
    for number in range(0, count, step):
        middle, text = (number + 0.5) * cell, str(number + 1)
        write(drawn, -8, middle, text, size=SMALL, align="right", colour=GREY)
        write(drawn, middle, count * cell + 12, text, size=SMALL, align="center", colour=GREY)
    write(drawn, 0, count * cell + 32, "number of the column", size=SMALL, colour=GREY)


def _write_values(matrix: Matrix, values: Correlation) -> None:
    there = np.isfinite(values)
    texts = [f"{value:.2f}".replace("-0.00", "0.00") for value in values[there]]
    matrix.number(there, texts, np.abs(values) > 0.7, SMALL)


def _draw_scale(drawn: Axes, left: float, top: float) -> None:
    """Explain the colours: +1 above, -1 below, grey for what never changes."""
    values = np.linspace(1, 0, 120)[:, np.newaxis]
    image(drawn, heat(values, COLOURS).repeat(14, axis=1), left, top)
    for text, y in (("+1", 4), ("0", 60), ("-1", 116)):
        write(drawn, left + 20, top + y, text, size=SMALL, colour=GREY)
    bars(drawn, left, top + 132, wide=14, high=14, colour=CONSTANT)
    write(drawn, left + 20, top + 139, "constant", size=SMALL, colour=GREY)


def _pixels_figure(
    title: str, shape: Sequence[int], fine: Correlation, coarse: Correlation
) -> Figure:
    one = np.empty((1, *shape), np.uint8)
    rows, columns = shrunk(one, COARSE).shape[1:3]
    cell = SIDE // (rows * columns)
    side = cell * rows * columns
    figure, drawn = page(2 * side, side)
    write(drawn, -46, -52, title, size=TITLE)
    write(drawn, 0, -20, f"{rows}x{columns} pixels, each against each")
    image(drawn, heat(_scaled(coarse), COLOURS), 0, 0, cell)
    for row in range(rows):
        edge = row * columns * cell
        middle = edge + columns * cell / 2
        write(drawn, -6, middle, f"row {row + 1}", size=SMALL, align="right", colour=GREY)
        if row:
            bars(drawn, 0, edge, wide=side, high=1, colour=PAPER)
            bars(drawn, edge, 0, wide=1, high=side, colour=PAPER)
    second, explained = side + 60, "each map: the yellow pixel against all others"
    write(drawn, second, -20, explained)
    maps = _maps(fine, shrunk(one, FINE).shape[1:3], (rows, columns))
    image(drawn, maps, second, 0)
    across = max(maps.shape[1], text_width(explained, TEXT))
    _draw_scale(drawn, second + across + 20, 0)
    return figure


def _maps(matrix: Correlation, size: Sequence[int], grid: tuple[int, int]) -> Pixels:
    """Return small maps of what varies with one pixel, laid out like the image.

    Args:
        matrix: correlation of all pixels of a map.
        size: (height, width) of a map, in pixels of the image.
        grid: (rows, columns) of maps.
    """
    (high, wide), (rows, columns) = size, grid
    scale = max(1, (SIDE // max(grid) - 6) // max(size))
    ground = _white(rows * (high * scale + 6), columns * (wide * scale + 6))
    for row, column in np.ndindex(grid):
        y, x = int((row + 0.5) * high / rows), int((column + 0.5) * wide / columns)
        colours = heat(_scaled(matrix[y * wide + x].reshape(high, wide)), COLOURS)
        colours[y, x] = YELLOW
        tile = np.pad(
            colours.repeat(scale, axis=0).repeat(scale, axis=1),
            ((1, 1), (1, 1), (0, 0)),
            constant_values=200,
        )
        _paste(ground, tile, column * (wide * scale + 6), row * (high * scale + 6))
    return ground


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return correlations as shares of the scale, 0 to 1."""
    return (values + 1) / 2


def heat(values: NDArray[Any], colours: str) -> Pixels:
    """Return the colours of values 0 to 1, (height, width, 3); grey where there is none."""
    pixels: Pixels = colormaps[colours](np.nan_to_num(values), bytes=True)[..., :3]
    pixels[np.isnan(values)] = 225
    return pixels


def enlarged(pixels: Pixels, side: int) -> Pixels:
    """Return a picture whose longer side has about `side` pixels; small ones keep sharp edges."""
    high, wide = pixels.shape[:2]
    if max(high, wide) <= side:
        factor = side // max(high, wide)
        return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    size = max(1, wide * side // max(high, wide)), max(1, high * side // max(high, wide))
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    resized = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    return resized.reshape(size[1], size[0], -1)


def _white(high: int, wide: int) -> Pixels:
    return np.full((high, wide, 3), 255, np.uint8)


def _paste(ground: Pixels, tile: Pixels, left: int, top: int) -> None:
    ground[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
