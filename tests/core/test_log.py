"""Messages: plain lines, JSON lines, one line each whatever they hold."""

import io
import json
import logging
import subprocess
import sys

import pytest

from medtools.core import log


@pytest.fixture(autouse=True)
def _restored():
    last = logging.lastResort
    yield
    logging.lastResort = last
    logging.captureWarnings(False)
    log.LOGGER.handlers.clear()
    logging.getLogger("py.warnings").handlers.clear()


def test_a_message_with_line_breaks_and_escapes_stays_one_line():
    stream = io.StringIO()
    log.set_up(0, "text", stream)
    log.LOGGER.info("a\nb\x1b[31m\udcff c")
    assert stream.getvalue() == "INFO: a\\nb\\x1b[31m\\udcff c\n"


def test_blanks_of_other_scripts_are_not_escaped():
    assert log.one_line("a\u00a0b\u3000c 数据") == "a\u00a0b\u3000c 数据"
    assert log.one_line("a\u2028b") == "a\\u2028b"


@pytest.mark.parametrize(("verbosity", "levels"), [(-1, "W"), (0, "IW"), (1, "DIW")])
def test_verbosity_chooses_the_levels(verbosity, levels):
    stream = io.StringIO()
    log.set_up(verbosity, "text", stream)
    log.LOGGER.debug("x")
    log.LOGGER.info("x")
    log.LOGGER.warning("x")
    assert "".join(line[0] for line in stream.getvalue().splitlines()) == levels


def test_json_lines_carry_stage_and_sample():
    stream = io.StringIO()
    log.set_up(0, "json", stream)
    log.LOGGER.warning('quote " and\nbreak', extra={"stage": "homology", "sample": "sub-1"})
    line = json.loads(stream.getvalue())
    assert line["message"] == 'quote " and\nbreak'
    assert (line["level"], line["stage"], line["sample"]) == ("warning", "homology", "sub-1")


OTHERS = """
import logging, sys, warnings
from medtools.core import log
log.set_up(0, sys.argv[1])
warnings.warn("of a library", RuntimeWarning)
logging.getLogger("somebody.else").warning("theirs")
logging.getLogger("somebody.else").info("chatter")
log.LOGGER.info("name " + chr(0xDCFF))
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_libraries_warn_of_takes_the_same_form(form):
    done = subprocess.run([sys.executable, "-c", OTHERS, form], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    messages = [json.loads(line)["message"] for line in lines] if form == "json" else lines
    assert len(messages) == 3
    assert "RuntimeWarning: of a library" in messages[0]
    assert "theirs" in messages[1]
    assert "name" in messages[2]


def test_failures_take_the_form_of_the_messages(capsys):
    log.fail("a\nb")
    assert capsys.readouterr().err == "error: a\\nb\n"
    stream = io.StringIO()
    log.set_up(0, "json", stream)
    try:
        raise ValueError("inner")
    except ValueError:
        log.fail("100 % a\nb", trace=True)
    line = json.loads(stream.getvalue())
    assert line["level"] == "error"
    assert line["message"] == "100 % a\nb"
    assert "ValueError: inner" in line["trace"]
