"""The `jaxsched` command; it imports only the subcommand that is asked for."""

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jaxsched import __version__
from jaxsched.cli.closed_terminal import outlive_terminal
from jaxsched.cli.encoding import replace_unencodable
from jaxsched.cli.errors import exit_with
from jaxsched.cli.exit_status import SIGNALLED, ExitStatus
from jaxsched.cli.home import stand_in_home
from jaxsched.extras import require_extra

# After their config file come fields of its experiment, which are unknown until it is loaded.
_TAKE_FIELDS = ("train", "diagnose", "range-test", "grid", "recipe", "check-data", "compile")
_TAKE_SEVERAL_CONFIGS = ("plot",)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; its exit status is one of those that `jaxsched --help` tells."""
    try:
        # Until there is work to save, Ctrl-C ends the process at once: raised within the imports of
        # extension modules, an interrupt would become other errors, with their tracebacks.
        _on_interrupt(signal.default_int_handler, signal.SIG_DFL)
        try:
            _main(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            _on_interrupt(signal.SIG_DFL, signal.default_int_handler)
            sys.stdout.flush()
    except BrokenPipeError:  # what read the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(SIGNALLED + signal.SIGPIPE)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        exit_with(error, ExitStatus.BAD_INPUT)


def _on_interrupt(before: Any, now: Any) -> None:
    """Changes what Ctrl-C does, if it does what it did before; an ignored one stays ignored."""
    with contextlib.suppress(ValueError):  # in another thread than the main one
        if signal.getsignal(signal.SIGINT) == before:
            signal.signal(signal.SIGINT, now)


def _main(arguments: list[str]) -> None:
    outlive_terminal()
    replace_unencodable()
    stand_in_home()
    if arguments[:1] == ["--version"]:
        print(f"jaxsched {__version__}")
        return
    require_extra("The jaxsched command", "train", "tyro", "rich")
    from jaxsched.cli.command_line import (
        COMMANDS,
        HELP,
        class_of,
        config_and_rest,
        configs_and_rest,
        parse_options,
        print_help,
        unknown,
    )

    command, *others = arguments or ("--help",)
    if command in HELP:
        print_help()
    elif command not in COMMANDS:
        raise ValueError(unknown(command))
    elif command in _TAKE_FIELDS:
        config, rest = config_and_rest(command, others)
        _run(command, lambda: _parse_with_config(class_of(command), command, config, rest))
    elif command in _TAKE_SEVERAL_CONFIGS:
        configs, rest = configs_and_rest(command, others)
        kind = class_of(command)
        _run(command, lambda: [_parse_with_config(kind, command, c, rest) for c in configs])
    else:
        options = parse_options(command, others)
        _run(command, lambda: options)


def _parse_with_config(kind: type, command: str, config: str, rest: Sequence[str]) -> Any:
    from jaxsched.cli.options import parse
    from jaxsched.cli.paths import user_path

    return parse(kind, command, user_path(config), rest)


def _run(command: str, parse: Callable[[], Any]) -> None:
    """Runs the command; a signal ends it with what to do next."""
    run = importlib.import_module(f"jaxsched.cli.runs.{command.replace('-', '_')}").run

    from jaxsched.cli.printing import PipeConsole
    from jaxsched.train import Preempted, keep_compiled, split_cpu

    split_cpu()
    keep_compiled()
    given = parse()
    _on_interrupt(signal.SIG_DFL, signal.default_int_handler)
    try:
        run(given, PipeConsole())
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept")
        sys.exit(SIGNALLED + signal.SIGINT)
    except Preempted as stop:
        resuming = " with --resume" if command == "train" else ""
        print(f"{stop}; the same command{resuming} goes on from there")
        sys.exit(SIGNALLED + stop.number)
