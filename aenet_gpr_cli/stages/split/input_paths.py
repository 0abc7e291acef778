"""The files and folders that a configuration of `split` names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aenet_gpr_cli.config.stages.split_config import SplitConfig
from aenet_gpr_cli.errors import InputError
from aenet_gpr_cli.io.formats.published import PREFIX, resolve


@dataclass(frozen=True, slots=True)
class Inputs:
    """Paths of a configuration.

    Attributes
    ----------
    train, test, more : list of str
        Of ``inputs``, ``test_inputs`` and ``train_inputs``.
    lists : dict of str to Path
        Text files with names, by their key.
    """

    train: list[str]
    test: list[str]
    more: list[str]
    lists: dict[str, Path] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """All sources of structures."""
        return [*self.train, *self.test, *self.more]

    @classmethod
    def of(cls, config: SplitConfig, folder: Path) -> Inputs:
        """Return the paths; relative ones start at the folder."""
        train, test, more = (
            [locate(text, folder) for text in given]
            for given in (config.inputs, config.test_inputs, config.train_inputs)
        )
        lists = {key: folder / text for key in ("train_list", "test_list") if (text := getattr(config, key))}
        return cls(train, test, more, lists)


def locate(text: str, folder: Path) -> str:
    """Return a path of a configuration, relative ones below the folder."""
    return text if text.startswith(PREFIX) or Path(text).is_absolute() else str(folder / text)


def from_anywhere(config: SplitConfig, folder: Path) -> SplitConfig:
    """Return the configuration with absolute paths: it means the same in any folder.

    Parameters
    ----------
    folder : Path
        Relative paths start here.
    """

    def absolute(text: str) -> str:
        return locate(text, folder.resolve())

    return replace(
        config,
        inputs=tuple(map(absolute, config.inputs)),
        test_inputs=tuple(map(absolute, config.test_inputs)),
        train_inputs=tuple(map(absolute, config.train_inputs)),
        train_list=config.train_list and absolute(config.train_list),
        test_list=config.test_list and absolute(config.test_list),
    )


def without_folders(config: SplitConfig) -> SplitConfig:
    """Return the configuration as it counts for being up to date: where the files lie does not matter."""

    def names(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(Path(path).name for path in paths)

    return replace(
        config,
        inputs=names(config.inputs),
        test_inputs=names(config.test_inputs),
        train_inputs=names(config.train_inputs),
        train_list=config.train_list and Path(config.train_list).name,
        test_list=config.test_list and Path(config.test_list).name,
    )


def check_inputs(config: SplitConfig, folder: Path) -> None:
    """Make sure that every file and folder that the configuration names is there.

    Parameters
    ----------
    folder : Path
        Relative paths start here.

    Raises
    ------
    InputError
        Naming what is missing.
    """
    lists = [text for text in (config.train_list, config.test_list) if text]
    check_present("split", [*config.inputs, *config.test_inputs, *config.train_inputs, *lists], folder)


def check_present(key: str, named: Sequence[str], folder: Path) -> None:
    """Make sure that files and folders of a configuration are there.

    Parameters
    ----------
    key : str
        That names them.
    folder : Path
        Relative paths start here.

    Raises
    ------
    InputError
        Naming what is missing.
    """
    paths = [resolve(locate(text, folder)) for text in named]
    if missing := [str(path) for path in paths if not path.exists()]:
        raise InputError(f"{key}: expected these inputs, but they do not exist: {', '.join(missing)}")
