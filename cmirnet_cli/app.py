"""The command table, and how a command line becomes an exit code."""

from __future__ import annotations

import errno
import functools
import inspect
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from traceback import extract_tb, format_exception_only
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from cmirnet_cli import __version__
from cmirnet_cli.commands import (
    benchmark_data,
    benchmark_infer,
    benchmark_train,
    cache,
    cache_features,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    predict,
    prepare_data,
    presets,
    train,
    web_app,
)
from cmirnet_cli.console import console
from cmirnet_cli.errors import CmirnetError, UsageError, first_line

Command = Callable[..., object]

COMMANDS: tuple[tuple[str, Command], ...] = (
    ("prepare-data", prepare_data.prepare_data),
    ("cache-features", cache_features.cache_features),
    ("train", train.train),
    ("eval", evaluate.evaluate),
    ("predict", predict.predict),
    ("export", export.export),
    ("app", web_app.open_page),
    ("convert", convert.convert),
    ("demo", demo.demo),
    ("doctor", doctor.doctor),
    ("benchmark data", benchmark_data.data),
    ("benchmark infer", benchmark_infer.infer),
    ("benchmark train", benchmark_train.train),
    ("cache info", cache.info),
    ("cache verify", cache.verify),
    ("cache show", cache.show),
    ("presets ls", presets.ls),
    ("presets show", presets.show),
    ("presets cp", presets.cp),
)
"""Every command as it is typed, with the function that runs it; its docstring is the help text."""

GROUPS: dict[str, str] = {
    "benchmark": "Measure on this machine, the plain way and ours side by side.",
    "cache": "Look at prepared caches and check them.",
    "presets": "Look at the settings of whole experiments, and copy them to make your own.",
}
"""The first words of the commands above that have two, with their help text."""

RENAMED: dict[str, str] = {"--rewrites": "--optimizations"}
"""Options of 0.1 → what they are called now. The old names go in 0.3."""

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

_TyperUsageError: type = typer.BadParameter.__mro__[1]
"""The base of all that Typer says about a command line; it has a name of its own in some versions only."""

_LOST_CONNECTION = re.compile(r"gloo.*(connection (reset|closed|refused)|broken pipe)|ncclRemoteError", re.IGNORECASE | re.DOTALL)
"""What torch says where one of several processes is gone."""

_EVERYWHERE = "Everywhere"
_Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.", rich_help_panel=_EVERYWHERE)]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result, and errors.", rich_help_panel=_EVERYWHERE)]
_Traceback = Annotated[bool, typer.Option("--traceback", help="Show where in the code an error occurred.", rich_help_panel=_EVERYWHERE)]


def main() -> NoReturn:
    """The `cmirnet` command."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread that waits for others leaves its core to them: machines are shared
    warnings.filterwarnings("ignore", module=r"PIL\.")  # they name lines of PIL and no file; what cannot be read is an error here
    sys.exit(run())


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; nothing a user can cause leaves as a traceback.

    Args:
        argv: the words after `cmirnet`; by default those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    console.configure(json="--json" in words, quiet=bool({"-q", "--quiet"} & {*words}), traceback="--traceback" in words)
    try:
        return _invoke([_current_name(word) for word in words])
    except KeyboardInterrupt:
        console.notice("interrupted")
        return EXIT_INTERRUPTED
    except typer.Exit as leaving:
        return leaving.exit_code
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except Exception as problem:
        if isinstance(problem, BrokenPipeError) and _nobody_reads():
            return 1
        error = as_user_error(problem)
        console.error(error, cause=problem)
        return error.exit_code


def _nobody_reads() -> bool:
    """Whether the reader of standard output, such as `head`, has gone: an empty line shows it. What is left to write goes nowhere then."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _current_name(word: str) -> str:
    """An option by its current name; a notice tells that the old one will go."""
    option, equals, value = word.partition("=")
    if option not in RENAMED:
        return word
    console.notice(f"{option} is called {RENAMED[option]} now; the old name will be removed in version 0.3")
    return RENAMED[option] + equals + value


_CALLS_OWN_CODE = str(Path(__file__).with_name("model") / "own.py")
"""The only file that calls code of the user's own."""


def as_user_error(problem: Exception) -> CmirnetError:
    """What to tell the user about any exception: our own errors as they are, the others with what can be done."""
    if isinstance(problem, CmirnetError):
        return problem
    if isinstance(problem, _TyperUsageError):
        return _usage_error(problem)
    if _is_out_of_memory(problem):
        return CmirnetError(f"out of memory: {str(problem) or 'none left'}", hint="use a smaller batch, smaller images or fewer workers")
    if isinstance(problem, RuntimeError) and (lost := _lost_process(problem)):
        return lost
    if isinstance(problem, OSError) and problem.strerror:
        return _system_error(problem)
    what = "".join(format_exception_only(problem)).strip()
    hint = "this is a bug in cmirnet; please report it with what --traceback shows"
    if any(frame.filename == _CALLS_OWN_CODE for frame in extract_tb(problem.__traceback__)):
        hint = "your own code raised this (model.network or loss.terms); --traceback shows where"
    return CmirnetError(what, hint)


def with_common_options(command: Command) -> Command:
    """The command with `--json`, `--quiet` and `--traceback` added to its own options."""
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def configured(*, json: bool, quiet: bool, traceback: bool, **options: object) -> object:
        console.configure(json=json, quiet=quiet, traceback=traceback)
        return command(**options)

    everywhere = {"json": _Json, "quiet": _Quiet, "traceback": _Traceback}
    added = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=hint) for name, hint in everywhere.items()]
    signature = own.replace(parameters=[*own.parameters.values(), *added])
    configured.__signature__ = signature  # type: ignore[attr-defined]
    configured.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
    return configured


class _WithoutTypes:
    """A command whose help shows no types that say nothing: `<bool>` of an option without a value, `<list[str]>` of an argument."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, the one that shows help included."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
            elif param.param_type_name == "argument":
                param.display_type_rich = lambda ctx: None
            if param.name == "help":
                param.rich_help_panel = _EVERYWHERE
        return params


class _Command(_WithoutTypes, TyperCommand):
    """One command."""


class _Group(_WithoutTypes, TyperGroup):
    """Commands under a common first word, or all."""


def build() -> typer.Typer:
    """The command line as Typer knows it."""
    app = typer.Typer(cls=_Group, callback=_root, rich_markup_mode="rich", context_settings={"help_option_names": ["-h", "--help"]})
    groups = {name: typer.Typer(cls=_Group, help=text) for name, text in GROUPS.items()}
    for typed, command in COMMANDS:
        group, _, name = typed.rpartition(" ")
        (groups[group] if group else app).command(name, cls=_Command)(with_common_options(command))
    for name, group_app in groups.items():
        app.add_typer(group_app, name=name)
    return app


def _print_version(shown: bool) -> None:
    if shown:
        console.result({"version": __version__}, f"cmirnet {__version__}")
        raise typer.Exit


_Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")]


def _root(
    context: typer.Context, version: _Version = False, json: _Json = False, quiet: _Quiet = False, traceback: _Traceback = False
) -> None:
    """Referring image segmentation: an image and an expression go in, the mask of that object comes out."""
    context.default_map = _for_every_command({"json": json, "quiet": quiet, "traceback": traceback})


def _for_every_command(options: dict[str, bool]) -> dict[str, Any]:
    """Options that stand before the command, as defaults of the commands' own options."""
    nested: dict[str, Any] = {}
    for typed, _ in COMMANDS:
        group, _, name = typed.rpartition(" ")
        (nested.setdefault(group, {}) if group else nested)[name] = options
    return nested


def _invoke(words: list[str]) -> int:
    """Run without Typer's own error reports: they know neither `--json` nor our exit codes."""
    command = typer.main.get_command(build())
    if "_CMIRNET_COMPLETE" in os.environ:
        command.main(args=words, prog_name="cmirnet")
    with command.make_context("cmirnet", words) as context:
        code = command.invoke(context)
    return code if isinstance(code, int) else 0


def _is_out_of_memory(problem: Exception) -> bool:
    """Python's own error, a GPU's, or torch's for a CPU, which has no class of its own."""
    return isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(problem)


def _lost_process(problem: RuntimeError) -> CmirnetError | None:
    """What to tell where a process that this one works with is gone; None of any other problem."""
    if str(problem).startswith("DataLoader worker"):
        hint = "use --workers 0, or give it more memory (also /dev/shm)"
        return CmirnetError(f"a process that loads data died: {str(problem).strip()}", hint=hint)
    if _LOST_CONNECTION.search(str(problem)):
        hint = "look for its own error above; --resume continues a run from its last checkpoint"
        return CmirnetError(f"another process of this command has ended: {first_line(problem)}", hint=hint)
    return None


def _usage_error(problem: Any) -> UsageError:
    return UsageError(problem.format_message(), hint=f"see {problem.ctx.command_path if problem.ctx else 'cmirnet'} --help")


def _system_error(problem: OSError) -> CmirnetError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return CmirnetError(f"no space left to write {problem.filename or 'a file'}", hint="free some space, or write to another disk")
    described = f"{problem.strerror}: {problem.filename}" if problem.filename else str(problem)
    return CmirnetError(described, hint="check the path and its permissions; --traceback shows where it was used")
