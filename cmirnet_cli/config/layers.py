"""How settings merge: defaults < preset < `CMIRNET_*` environment < flags < `--set a.b=v`; every mistake of every layer in one error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cmirnet_cli.config import yaml_text
from cmirnet_cli.config.presets import SUFFIXES, preset_names, preset_source
from cmirnet_cli.config.published import FAMILIES
from cmirnet_cli.config.settings import Settings
from cmirnet_cli.errors import ConfigError, in_plain_words

PREFIX = "CMIRNET_"
DATASET, SPLIT_BY = "data.dataset", "data.split_by"

_SECTIONS: Mapping[str, frozenset[str]] = {name: frozenset(type(section).model_fields) for name, section in Settings()}
_KNOWN = [f"{section}.{key}" for section, keys in _SECTIONS.items() for key in sorted(keys)]


@dataclass(frozen=True)
class _Given:
    """One value for one setting, and the place a user would correct it in."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True)
class _Layer:
    """What one source gives: values for settings that exist, and what is wrong with the rest."""

    given: tuple[_Given, ...]
    problems: tuple[str, ...]


def resolve(
    preset: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
) -> Settings:
    """The settings of a command.

    Args:
        preset: name of a shipped preset, or a YAML file (a run's `config.yaml` is one).
        environ: the process's environment; `CMIRNET_OPTIMIZER__LR=1e-4` sets `optimizer.lr`.
        flags: values of command-line options by dotted name; None means that the option was not given.
        overrides: `a.b=v`, each as written after `--set`.

    Raises:
        ConfigError: lists every unknown name and every impossible value of all layers, each with its origin.
    """
    layers = [_preset_layer(preset), _environment_layer(environ or {}), _flag_layer(flags or {}), _override_layer(overrides)]
    merged = _merged(layers)
    problems = [problem for layer in layers for problem in (*layer.problems, *_wrong_values(layer.given))]
    settings, contradictions = _validate(merged.values())
    if problems or settings is None:
        raise _config_error(problems or contradictions)
    return settings


def named_recipe(name: str) -> Settings:
    """The settings of a preset, of a preset's file, or of a backbone with the recipe published for its family.

    Raises:
        ConfigError: it is not one of these; the hint names the nearest one.
    """
    if name in preset_names() or name.endswith(SUFFIXES):
        return resolve(name)
    try:
        return resolve(flags={"model.backbone": name})
    except ConfigError as error:
        names = [*preset_names(), *FAMILIES]
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "`cmirnet presets ls` lists the presets"
        raise ConfigError(f"there is no preset and no backbone {name!r}", hint=hint) from error


def _merged(layers: Iterable[_Layer]) -> dict[str, _Given]:
    """Setting → the value that wins. Another data set replaces the earlier one whole, the name of its division included."""
    merged: dict[str, _Given] = {}
    for layer in layers:
        own = {given.name: given for given in layer.given}
        if DATASET in own and DATASET in merged and own[DATASET].value != merged[DATASET].value:
            merged.pop(SPLIT_BY, None)
        merged |= own
    return merged


def _preset_layer(preset: str | Path | None) -> _Layer:
    if preset is None:
        return _Layer((), ())
    try:
        origin, text = preset_source(preset)
        data = yaml_text.parse(text)
    except ConfigError as problem:
        return _Layer((), (f"{problem.message}; {problem.hint}",))
    except ValueError as problem:
        return _Layer((), (f"{preset} is not valid YAML: {problem}",))
    if not isinstance(data, dict):
        return _Layer((), (f"{origin} holds no settings: expected lines such as `model:` and `  backbone: swin-b`",))
    return _checked(_leaves(data, origin))


def _leaves(data: Mapping[object, Any], origin: str) -> Iterator[_Given]:
    for section, values in data.items():
        if isinstance(values, dict):
            yield from (_Given(f"{section}.{key}", value, origin) for key, value in values.items())
        else:
            yield _Given(str(section), values, origin)


def _environment_layer(environ: Mapping[str, str]) -> _Layer:
    """Variables named after a section count; others with the prefix (folders, tokens) are not settings."""
    names = {name: name.removeprefix(PREFIX).lower() for name in sorted(environ) if name.startswith(PREFIX)}
    named = {name: key for name, key in names.items() if "__" in key or key.split("_")[0] in _SECTIONS}
    return _from_text((key.replace("__", "."), environ[name], name) for name, key in named.items())


def _flag_layer(flags: Mapping[str, object]) -> _Layer:
    given = {name: value for name, value in flags.items() if value is not None}
    return _checked(_Given(name, value, f"--{name.rpartition('.')[2].replace('_', '-')}") for name, value in given.items())


def _override_layer(overrides: Sequence[str]) -> _Layer:
    malformed = tuple(f"--set {text}: expected --set section.name=value" for text in overrides if "=" not in text)
    pairs = [(text.partition("="), text) for text in overrides if "=" in text]
    layer = _from_text((name.strip(), value, f"--set {text}") for (name, _, value), text in pairs)
    return _Layer(layer.given, malformed + layer.problems)


def _from_text(texts: Iterable[tuple[str, str, str]]) -> _Layer:
    given, problems = [], []
    for name, text, origin in texts:
        try:
            given.append(_Given(name, yaml_text.parse(text), origin))
        except ValueError as problem:
            problems.append(f"{origin}: {text!r} is not valid YAML: {problem}")
    layer = _checked(given)
    return _Layer(layer.given, (*problems, *layer.problems))


def _checked(given: Iterable[_Given]) -> _Layer:
    everything = tuple(given)
    known = tuple(one for one in everything if one.name in _KNOWN)
    return _Layer(known, tuple(_unknown(one) for one in everything if one.name not in _KNOWN))


def _unknown(given: _Given) -> str:
    if given.name in _SECTIONS:
        return f"{given.origin}: {given.name} is a group of settings: {', '.join(_settings_of(given.name))}"
    near = _nearest(given.name)
    return f"{given.origin}: there is no setting {given.name}" + (f"; did you mean {near}?" if near else "")


def _settings_of(section: str) -> list[str]:
    return [name for name in _KNOWN if name.startswith(f"{section}.")]


def _nearest(name: str) -> str | None:
    """The known setting of the same last name or with its initials (learning_rate: lr), else the one spelt most alike."""
    by_key = {known.rpartition(".")[2]: known for known in _KNOWN}
    key = name.rpartition(".")[2]
    initials = "".join(word[:1] for word in key.split("_"))
    if key in by_key or initials in by_key:
        return by_key.get(key) or by_key[initials]
    alike = get_close_matches(name, _KNOWN, n=1)
    return alike[0] if alike else next((by_key[near] for near in get_close_matches(key, by_key, n=1)), None)


def _wrong_values(layer: Sequence[_Given]) -> list[str]:
    """What is wrong with the values of one layer, each on its own."""
    by_name = {given.name: given for given in layer}
    try:
        Settings.model_validate(_nested(by_name.values()))
    except ValidationError as problem:
        details = [(by_name.get(_dotted(detail)), detail) for detail in problem.errors(include_url=False)]
        return [_wrong_value(given, detail) for given, detail in details if given is not None]
    return []


def _wrong_value(given: _Given, detail: ErrorDetails) -> str:
    reason = in_plain_words(detail["msg"])
    return f"{given.origin}: {given.name} = {given.value!r}: {reason}"


def _validate(merged: Iterable[_Given]) -> tuple[Settings | None, list[str]]:
    """The settings, or what contradicts what although each value is possible."""
    values = list(merged)
    try:
        return Settings.model_validate(_nested(values)), []
    except ValidationError as problem:
        return None, [_contradiction(detail, values) for detail in problem.errors(include_url=False)]


def _contradiction(detail: ErrorDetails, values: Sequence[_Given]) -> str:
    section, reason = _dotted(detail), in_plain_words(detail["msg"])
    concerned = (given for given in values if (given.name.startswith(section) if section else given.name in reason))
    return f"{reason} (given by {', '.join(dict.fromkeys(given.origin for given in concerned)) or 'the defaults'})"


def _dotted(detail: ErrorDetails) -> str:
    return ".".join(str(part) for part in detail["loc"][:2])


def _nested(values: Iterable[_Given]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for given in values:
        section, _, key = given.name.partition(".")
        nested.setdefault(section, {})[key] = given.value
    return nested


def _config_error(problems: Sequence[str]) -> ConfigError:
    hint = "`cmirnet train --print-config` shows every setting with its value"
    if len(problems) == 1:
        return ConfigError(problems[0], hint=hint)
    return ConfigError("\n".join([f"{len(problems)} settings are wrong", *(f"  {problem}" for problem in problems)]), hint=hint)
