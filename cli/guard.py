"""What stands between an error and the user: one clear line on stderr and the promised exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

import typer

_USERS_FAULT = {
    errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENOENT,
    errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY, errno.EFBIG,
}  # fmt: skip


def guarded(work: Callable[[], None], debug: bool = False) -> None:
    """Run `work`; turn what it raises into a message and an exit code.

    Exit codes: 1 our fault, 2 usage or input, 3 part of a cohort failed, 4 refused, 130 and 143 interrupted.
    """
    from medtools.core.errors import MedtoolsError
    from medtools.core.limits import Terminated, terminable

    try:
        with terminable():
            work()
    except MedtoolsError as error:
        _stop(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        _stop("interrupted; what was finished stays, run the same command to go on", 130, debug)
    except Terminated:
        _stop("terminated; what was finished stays, run the same command to go on", 143, debug)
    except BrokenPipeError:
        # The reader of our standard output went away; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(141) from None
    except MemoryError:
        _stop("out of memory; see what is needed with --estimate, bound it with --max-mem", 4, debug)
    except OSError as error:
        if error.errno not in _USERS_FAULT:
            _unexpected(error, debug)
        _stop(f"{error.filename or 'file system'}: {error.strerror}", 2, debug)
    except typer.Exit:
        raise
    except Exception as error:
        _unexpected(error, debug)


def _stop(message: str, code: int, debug: bool) -> None:
    from medtools.core.log import fail

    fail(message, trace=debug)
    raise typer.Exit(code)


def _unexpected(error: BaseException, debug: bool) -> None:
    message = " ".join(str(error).split())[:300]
    hint = "" if debug else "; run again with --debug for the trace and report it"
    _stop(f"internal: {type(error).__name__}: {message}{hint}", 1, debug)
