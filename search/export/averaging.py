"""One Keras model that averages the values of several, which share its input."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from search.data.encoders import Encoder, TextEncoder
from search.errors import SettingsError
from search.export.formats.base import names_of, new_input, with_values
from search.export.formats.naming import free_name
from search.export.labels import Labels, values_of
from search.export.refit import Final
from search.tasks import OutputMeaning


@dataclass(frozen=True)
class Trained:
    """One training of a member.

    Attributes:
        final: the trial and its data.
        weight: in the average.
        outputs: what its outputs mean.
        weights: of the model; None for ones that are not trained.
    """

    final: Final
    weight: float
    outputs: OutputMeaning
    weights: Sequence[Any] | None = None


def averaged(parts: Sequence[Trained]) -> tuple[Any, Labels]:
    """Return one model whose outputs are the weighted means of all models' values.

    Args:
        parts: its models, on the same samples.

    Raises:
        SettingsError: they cannot have one input, or their outputs are not of one kind.
    """
    import keras

    wide = widest([part.final for part in parts])
    inputs, found, meanings = None, [], []
    taken: set[str] = set()  # names of layers
    for number, part in enumerate(parts, start=1):
        final = part.final
        with keras.name_scope(f"model_{number}"):  # so that no two weights have the same name
            member = final.build()
        if part.weights is not None:
            member.set_weights(list(part.weights))
        if inputs is None:
            inputs = new_input(member, wide.samples().encoded, wide.dataset.kind)
            taken = names_of(inputs)
        member.name = free_name(f"model_{number}", taken)
        taken.add(member.name.lower())
        own = narrowed(inputs, wide.encoder, final.encoder)
        found.append(with_values(member, own, part.outputs))
        meanings.append(values_of(part.outputs, final.dataset.task))
    _check_alike(parts, meanings)
    labels = wide.labels(meanings[-1])
    shares = [part.weight for part in parts]
    if isinstance(found[0], dict):
        means: Any = {name: _mean([each[name] for each in found], shares) for name in found[0]}
    else:
        means = _mean(found, shares)
    return keras.Model(inputs, means, name="ensemble"), labels


def _mean(values: Sequence[Any], shares: Sequence[float]) -> Any:
    from keras import layers

    kind = "float64" if any(each.dtype == "float64" for each in values) else "float32"
    if max(shares) - min(shares) < 1e-9:
        return layers.Average(dtype=kind)(values)
    weighted = [
        layers.Rescaling(share, dtype=kind)(each)
        for share, each in zip(shares, values, strict=True)
    ]
    return layers.Add(dtype=kind)(weighted)


def _check_alike(parts: Sequence[Trained], meanings: Sequence[OutputMeaning]) -> None:
    for part, meaning in zip(parts, meanings, strict=True):
        if _kind(meaning) != _kind(meanings[0]):
            raise SettingsError(
                f"the models of trials {parts[0].final.trial} and {part.final.trial} must give"
                f" values of one kind to be averaged; they give {_kind(meanings[0])} and"
                f" {_kind(meaning)}. Export one of them alone with `--trial`"
            )


def _kind(meaning: OutputMeaning) -> str:
    return f"{'probabilities' if meaning.are_probabilities else meaning.meaning}"


def widest(finals: Sequence[Final]) -> Final:
    """Return a trial with an encoder whose output has the inputs of all trials.

    Raises:
        SettingsError: there is none.
    """
    encoders = [final.encoder for final in finals]
    first = finals[0]
    if all(encoder == encoders[0] for encoder in encoders):
        return first
    for final, encoder in zip(finals, encoders, strict=True):
        if encoder != encoders[0] and not _are_texts([encoder, encoders[0]]):
            raise SettingsError(
                f"models of trials {first.trial} and {final.trial} cannot share an input: samples"
                " are encoded otherwise for each. Export one of them alone with `--trial`"
            )
    texts = [encoder for encoder in encoders if isinstance(encoder, TextEncoder)]
    words = max((encoder.words for encoder in texts), key=len)
    if any(encoder.words != words[: len(encoder.words)] for encoder in texts):
        raise SettingsError(
            "models of trials whose vocabularies are not parts of one another cannot share an"
            " input. Export one of them alone with `--trial`"
        )
    sizes = max(encoder.length for encoder in texts), max(encoder.size for encoder in texts)
    made = replace(first, source=first)
    made.__dict__["encoder"] = TextEncoder(words, *sizes)  # where `cached_property` looks
    return made


def _are_texts(encoders: Sequence[Encoder]) -> bool:
    return all(isinstance(encoder, TextEncoder) for encoder in encoders)


def narrowed(inputs: Any, wide: Encoder, own: Encoder) -> Any:
    """Return a model's own symbolic tokens, made of those of a larger vocabulary or longer texts.

    Args:
        inputs: symbolic, `(n, wide.length)`.
        wide: what they were encoded by.
        own: what the model's samples are encoded by; the vocabulary is the beginning of the wide.
    """
    if not (isinstance(wide, TextEncoder) and isinstance(own, TextEncoder)) or wide == own:
        return inputs
    from keras import layers, ops

    found = inputs
    if own.length < wide.length:
        found = layers.Reshape((wide.length, 1))(found)
        found = layers.Cropping1D((0, wide.length - own.length))(found)
        found = layers.Reshape((own.length,))(found)
    if len(own.words) < len(wide.words):  # other words are unknown to it: token 1
        found = ops.where(ops.less(found, len(own.words) + 2), found, ops.minimum(found, 1))
    return found
