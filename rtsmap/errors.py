"""Everything that rtsmap raises on purpose, and the exit code that each kind ends a command with."""

#: What to do where torch or detectron2 is missing. pip cannot install the latter by itself (pyproject.toml, [tool.uv]).
INSTALL_TORCH = "install rtsmap[train]: in a checkout, pip install uv, then uv pip install '.[train]'"


class RtsmapError(Exception):
    """A failure with one clear line: which file, what is wrong, what to do."""

    exit_code = 1


class InputError(RtsmapError):
    """Bad input or usage: an option, a scene, an area of interest."""

    exit_code = 2


class SceneError(InputError):
    """A scene that cannot be opened or read."""


class ModelError(InputError):
    """A model that is missing, incomplete, or not what its card says."""


class DatasetError(InputError):
    """Labels or images that cannot be trained on."""


class OutputError(RtsmapError):
    """An output that could not be written; nothing half written is left."""


class SomeScenesFailedError(RtsmapError):
    """Some scenes failed; the others were written."""

    exit_code = 3


class InterruptedRunError(RtsmapError):
    """Stopped by the user or the scheduler (SIGINT, SIGTERM); running the same command again is safe."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h
