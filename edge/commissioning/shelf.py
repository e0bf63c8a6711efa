"""All profiles that a search may compare with: the school's own and the built-in ones."""

from __future__ import annotations

from edge.config.configuration import Configuration
from edge.config.fault import ConfigError
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs


def library_of(configuration: Configuration | None) -> Library:
    """The profiles of a configuration, or the built-in ones alone; ConfigError when the
    built-in vocabulary cannot be read."""
    builtin = builtin_configs()
    if configuration is not None:
        here = configuration.path.parent
        folders = [here / name for name in configuration.settings.profiles]
        return Library([*folders, builtin / "profiles"], configuration.vocabulary)
    vocabulary, faults = read_vocabulary(builtin / "vocabulary.yaml")
    if vocabulary is None:
        raise ConfigError(faults)
    return Library([builtin / "profiles"], vocabulary)
