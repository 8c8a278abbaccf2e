"""Completion: the scripts do not drift, offer every option and value, and real Tab presses complete."""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from runpy import run_path

import pytest
from typer.main import get_command

from smcli.cli.app import build
from smcli.cli.tree import tree
from smcli.cli.values import SOURCES
from smcli.errors import UsageError
from smcli.shells import scripts as shells
from smcli.shells.tree import NOTHING, Argument, Command, Option, Values

ROOT = Path(__file__).parents[1]
GENERATE = run_path(str(ROOT / "completions" / "generate.py"))
FILES = GENERATE["files"]()
PROGRAM = tree(get_command(build()))
COMMANDS = [c.name for c in PROGRAM.commands]
SEVERAL = [(c, o) for c in PROGRAM.commands for o in c.options]
TIMEOUT = 10


def needs(shell):
    return pytest.mark.skipif(not shutil.which(shell), reason=f"no {shell}")


@cache
def made():
    """A folder with the scripts of this tree, committed or not."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    GENERATE["write"](folder)
    return folder / "completions"


# Files


@pytest.mark.parametrize("path", FILES)
def test_generated_files_do_not_drift(path):
    assert (ROOT / path).read_text(encoding="ascii") == FILES[path], "run python completions/generate.py"


@pytest.mark.parametrize("shell", shells.names())
def test_command_prints_the_script(shell):
    done = subprocess.run(
        [sys.executable, "-m", "smcli", "completions", shell], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (made() / shells.module(shell).FILE).read_text()


@pytest.mark.parametrize(
    ("typed", "meant"), [("zhs", "did you mean zsh?"), ("powershel", "did you mean powershell?"), ("ksh", "")]
)
def test_unknown_shell(typed, meant):
    with pytest.raises(UsageError) as error:
        shells.module(typed)
    assert typed in error.value.message and meant in error.value.hint and "fish" in error.value.hint
    done = subprocess.run(
        [sys.executable, "-m", "smcli", "completions", typed], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr


def test_what_a_shell_is_called_too():
    assert shells.module("pwsh") is shells.module("powershell")


def test_help_says_where_the_scripts_go():
    done = subprocess.run(
        [sys.executable, "-m", "smcli", "completions", "-h"], capture_output=True, text=True, check=False
    )
    for place in ("bash-completion/completions/smcli", "fpath", "~/.config/fish/completions/smcli.fish", "$PROFILE"):
        assert place in done.stdout


# The tree and its values


def test_tree_has_every_command_and_help():
    assert {"eval", "compare", "grad", "completions"} <= set(COMMANDS)
    for _, option in SEVERAL:
        assert option.help and option.help.isascii(), option.names


def test_options_of_names_have_values():
    """An option that takes a NAME, a KIND, a FILE … has a line in the table of values; a key of a file is free text."""
    for command, option in SEVERAL:
        if (
            option.metavar in {"NAME", "KIND", "ORDER", "HOW", "WHAT", "FILE", "PATH", "SHELL"}
            and option.long != "--key"
        ):
            assert option.values, f"smcli.cli.values.SOURCES does not say what {option.long} of {command.name} takes"


def test_table_of_values_names_nothing_that_is_gone():
    known = {o.long for _, o in SEVERAL} | set(COMMANDS)
    assert set(SOURCES) - known <= {"check", "--plot"}  # announced, not there yet


# bash: the function itself, without any program in reach

TRY = """
set -u
PATH=/nonexistent
source "$1"
complete -p smcli >/dev/null || exit 9
while IFS= read -r line; do
  read -ra COMP_WORDS <<< "$line"
  [[ $line == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
  _smcli smcli
  echo "${COMPREPLY[*]-}"
done
"""


def bash(*lines):
    """What bash offers for each line."""
    given = "".join(line + "\n" for line in lines)
    done = subprocess.run(
        ["bash", "--norc", "-c", TRY, "bash", made() / "smcli.bash"],
        input=given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


@cache
def bash_options():
    """What bash offers for each spelling of each option, behind negative numbers."""
    asked = [(c.name, name) for c in PROGRAM.commands for o in c.options for name in o.names]
    return dict(zip(asked, bash(*(f"smcli {c} -1 -inf {name}" for c, name in asked)), strict=True))


@needs("bash")
@pytest.mark.parametrize("command", PROGRAM.commands, ids=lambda c: c.name)
def test_bash_offers_every_option(command):
    for option in command.options:
        for name in option.names:
            assert name in bash_options()[command.name, name]


@needs("bash")
@pytest.mark.parametrize(
    ("command", "option"), [p for p in SEVERAL if p[1].values.choices], ids=lambda x: getattr(x, "long", "") or x.name
)
def test_bash_offers_every_value(command, option):
    words = [value for value, _ in option.values.choices]
    lines = [f"smcli {command.name} -1 {name} " for name in option.names] + [f"smcli {command.name} {option.long}="]
    for got in bash(*lines):
        assert [w.removeprefix(f"{option.long}=") for w in got] == words


@needs("bash")
@pytest.mark.parametrize(("line", "want"), {
    "smcli ": COMMANDS,
    "smcli --v": ["--version"],
    "smcli compl": ["completions"],
    "smcli completions ": ["bash", "fish", "powershell", "zsh"],
    "smcli compare -d fl": ["float64", "float32", "float16", "float8_e4m3fn", "float8_e5m2"],
    "smcli compare -1 -2 --me": ["--method"],
    "smcli compare -d float16 -1e5 --redu": ["--reduction"],
    "smcli compare -m naive,sh": ["naive,shifted"],
    "smcli compare -m naive,shifted,fus": ["naive,shifted,fused"],
    "smcli compare -mna": ["-mnaive"],
    "smcli compare -vmna": ["-vmnaive"],
    "smcli compare -vm na": ["naive"],
    "smcli compare --sum=seq": ["sequential"],  # bash itself keeps what stands before the =
    "smcli compare --method=naive,sh": ["naive,shifted"],
    "smcli compare --reduction mean --sum p": ["pairwise"],
    "smcli compare --ignore-index -100 --sum s": ["sequential"],
    "smcli compare --fail-on w": ["warning"],
    "smcli compare --fail-on SM201,SM20": ["SM201,SM201", "SM201,SM202", "SM201,SM203", "SM201,SM204"],
    "smcli compare --key --sum": [],  # the value of --key
    "smcli compare -- --sum": [],
    "smcli compare -- ": [],
    "smcli compare -1": [],
    "smcli nonsense --m": [],
    "smcli eval -m exa": ["exact"],
    "smcli grad -m f": ["fused", "fd"],
}.items())  # fmt: skip
def test_bash_offers(line, want):
    assert bash(line)[0] == want


@needs("bash")
def test_bash_offers_long_options_where_only_free_text_fits():
    (got,) = bash("smcli compare ")
    assert "--method" in got and all(w.startswith("--") for w in got)


# Real Tab presses


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with files whose names are awkward."""
    made = tmp_path_factory.mktemp("files")
    for name in ("logits.npy", "two words.txt", "a:b.csv"):
        (made / name).write_text("1 2\n")
    return made


class Terminal:
    """A shell on a terminal: what a line becomes when Tab is pressed, and what is listed."""

    def __init__(self, command, folder, setup):
        pexpect = pytest.importorskip("pexpect")
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "INPUTRC": "/dev/null",
            "PS1": "> ",
        }
        self.child = pexpect.spawn(
            command[0], command[1:], cwd=folder, env=env, encoding="utf-8", timeout=TIMEOUT, dimensions=(200, 160)
        )
        for line in setup:
            self.child.sendline(line)
        self.child.sendline("echo rea''dy")
        self.child.expect("\nready")
        self.child.expect("> ")

    def line(self, typed):
        """The line after Tab: Ctrl-G shows it."""
        self.child.send(typed + "\t\x07")
        self.child.expect("<<(.*?)>>")
        got = self.child.match[1]
        self.child.send("\x15")
        return got

    def listing(self, typed, *wanted):
        """Press Tab, and wait until these words are listed."""
        self.child.send(typed + "\t")
        missing = sorted(wanted, key=len, reverse=True)
        try:
            while missing:
                self.child.expect("|".join(rf"(?<=[\s,]){re.escape(w)}(?=[\s,])" for w in missing))
                missing.remove(self.child.match[0])
        finally:
            self.child.send("\x07")
            self.child.expect("<<(.*?)>>")
            self.child.send("\x15")


def bash_setup(scripts):
    return [
        "bind 'set enable-bracketed-paste off'; bind 'set bell-style none'",
        "bind 'set page-completions off'; bind 'set show-all-if-ambiguous on'",
        "bind 'set completion-query-items 0'",
        """bind -x '"\\C-g": printf "<<%s>>" "$READLINE_LINE"'""",
        f"source {scripts}/smcli.bash",
        "PATH=/nonexistent",
    ]


def zsh_setup(scripts):
    return [
        "PS1='> '; unsetopt beep list_ambiguous; LISTMAX=0; PATH=/nonexistent",
        f"fpath=({scripts} $fpath); autoload -Uz compinit; compinit -u -D; bindkey -e",
        'shown() { print -rn -- "<<$BUFFER>>" }; zle -N shown; bindkey "^G" shown; bindkey "^U" kill-whole-line',
    ]


@pytest.fixture(scope="module")
def in_bash(folder):
    return Terminal([shutil.which("bash"), "--norc", "--noprofile", "-i"], folder, bash_setup(made()))


@pytest.fixture(scope="module")
def in_zsh(folder):
    return Terminal([shutil.which("zsh"), "-f", "-i"], folder, zsh_setup(made()))


PRESSES = {
    "smcli comple": "smcli completions ",
    "smcli compare --me": "smcli compare --method ",
    "smcli compare -1 -2 --me": "smcli compare -1 -2 --method ",
    "smcli compare -inf -nan -.5 --lab": "smcli compare -inf -nan -.5 --label",
    "smcli compare -m shi": "smcli compare -m shifted ",
    "smcli compare -m naive,shi": "smcli compare -m naive,shifted ",
    "smcli compare --method=naive,shi": "smcli compare --method=naive,shifted ",
    "smcli compare --sum=seq": "smcli compare --sum=sequential ",
    "smcli compare 1 -2 -d bf": "smcli compare 1 -2 -d bfloat16 ",
    "smcli compare --ignore-index -100 --reduction me": "smcli compare --ignore-index -100 --reduction mean ",
    "smcli completions po": "smcli completions powershell ",
    "smcli compare -i log": "smcli compare -i logits.npy ",
    "smcli compare --input=log": "smcli compare --input=logits.npy ",
    "smcli compare -i two": r"smcli compare -i two\ words.txt ",
    "smcli compare log": "smcli compare log",
}


@needs("bash")
@pytest.mark.parametrize("typed", PRESSES)
def test_tab_in_bash(in_bash, typed):
    assert in_bash.line(typed) == PRESSES[typed]


@needs("zsh")
@pytest.mark.parametrize("typed", PRESSES)
def test_tab_in_zsh(in_zsh, typed):
    # behind an option zsh puts a = that goes away when a space is typed
    assert in_zsh.line(typed) == re.sub("(--[a-z]+) $", r"\1=", PRESSES[typed])


@needs("bash")
def test_tab_in_bash_lists(in_bash):
    in_bash.listing("smcli explain ", "SM101", "SM904")
    in_bash.listing("smcli compare -m ", "naive", "fused", "all")


@needs("zsh")
def test_tab_in_zsh_lists(in_zsh):
    in_zsh.listing("smcli explain ", "SM101", "SM904", "nan-logit")
    in_zsh.listing("smcli compare -m naive,", "shifted", "fused", "all", "Subtract")


@needs("zsh")
@pytest.mark.parametrize("command", PROGRAM.commands, ids=lambda c: c.name)
def test_zsh_offers_every_option(in_zsh, command):
    number = "-1 " if command.arguments else ""
    in_zsh.listing(f"smcli {command.name} {number}-", *(name for option in command.options for name in option.names))


# Texts that mean something to a shell

AWKWARD = r"""It's [one: two] \n \\ $HOME `x` "q" $(a) {b} *c* %d %B #e ;f & g | h < i > j ~k !l @ROOT@"""


@pytest.fixture(scope="module")
def awkward(tmp_path_factory):
    """The scripts of a small program with such texts everywhere."""
    values = Values((("alpha", AWKWARD), ("be:ta", "")), separated=True)
    free, several = (
        Argument("[X:Y]...", AWKWARD, repeatable=True, values=NOTHING),
        Argument("C", AWKWARD, repeatable=True, values=values),
    )
    help_ = Option(("-h", "--help"), AWKWARD)
    method = Option(("-m", "--method"), AWKWARD, "NA:ME[x]", "'d'", repeatable=True, values=values)
    one = Command("one", AWKWARD, (help_, method), (free,))
    program = Command("smcli", AWKWARD, (help_,), commands=(one, Command("two", AWKWARD, (help_,), (several,))))
    folder = tmp_path_factory.mktemp("awkward")
    for shell in shells.names():
        (folder / shells.module(shell).FILE).write_text(shells.script(shell, program))
    return folder


@needs("fish")
def test_fish_shows_awkward_texts_as_they_are(awkward):
    ask = "source smcli.fish; complete -C 'smcli one -'; complete -C 'smcli one -m '; complete -C 'smcli two '"
    done = subprocess.run(["fish", "-N", "-c", ask], capture_output=True, text=True, check=True, cwd=awkward)
    assert done.stderr == ""
    said = dict(row.split("\t", 1) for row in done.stdout.splitlines() if "\t" in row)
    assert set(said) == {"-h", "--help", "-m", "--method", "alpha"} | ({"be:ta"} & set(said))
    assert {text for name, text in said.items() if name != "be:ta"} == {AWKWARD}


@needs("zsh")
def test_zsh_shows_awkward_texts_as_they_are(awkward, folder):
    terminal = Terminal([shutil.which("zsh"), "-f", "-i"], folder, zsh_setup(awkward))
    for typed in ("smcli one -", "smcli one -m ", "smcli two "):
        terminal.listing(typed, AWKWARD)
    assert terminal.line("smcli one -m alpha,b") == "smcli one -m alpha,be:ta "


@needs("bash")
def test_bash_completes_values_with_a_colon(awkward, folder):
    terminal = Terminal([shutil.which("bash"), "--norc", "--noprofile", "-i"], folder, bash_setup(awkward))
    for typed in ("smcli one -m be", "smcli one -m be:", "smcli one -m be:t"):
        assert terminal.line(typed) == "smcli one -m be:ta "
    assert terminal.line("smcli one --method=alpha,be:t") == "smcli one --method=alpha,be:ta "


# fish


def fish(*lines):
    """What fish offers for each line."""
    asked = "".join(f"complete -C '{line}'; echo '=='; " for line in lines)
    script = f"source {made()}/smcli.fish; set PATH /nonexistent; {asked}"
    done = subprocess.run(["fish", "-N", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [[row.partition("\t")[0] for row in part.splitlines()] for part in done.stdout.split("==\n")[:-1]]


@needs("fish")
@pytest.mark.parametrize("command", PROGRAM.commands, ids=lambda c: c.name)
def test_fish_offers_every_option_and_value(command):
    chosen = [o for o in command.options if o.values.choices]
    options, *values = fish(f"smcli {command.name} -1 -", *(f"smcli {command.name} -1 {o.long} " for o in chosen))
    assert {name for o in command.options for name in o.names} <= set(options)
    for option, got in zip(chosen, values, strict=True):
        assert set(got) == {value for value, _ in option.values.choices}, option.names


@needs("fish")
def test_fish_offers(folder):
    commands, methods, joined, shell, file, none = fish(
        "smcli ", "smcli compare -m naive,shi", "smcli compare --method=naive,shi", "smcli completions ",
        f"smcli compare -i {folder}/log", f"smcli compare {folder}/log",
    )  # fmt: skip
    assert sorted(commands) == sorted(COMMANDS)
    assert methods == ["naive,shifted"] and joined == ["--method=naive,shifted"]
    assert sorted(shell) == list(shells.names())
    assert file == [f"{folder}/logits.npy"] and none == []


# PowerShell


@pytest.mark.parametrize("command", PROGRAM.commands, ids=lambda c: c.name)
def test_powershell_has_every_option_and_value(command):
    text = (made() / "smcli.ps1").read_text()
    rows = re.findall(r"@\{ In = (.*?); Names = (.*?); Takes = '(.*?)';", text)
    for option in command.options:
        names = ", ".join(f"'{name}'" for name in option.names)
        (takes,) = (t for where, n, t in rows if n == names and f"'{command.name}'" in where.split(", "))
        assert bool(takes) == bool(option.metavar)
        if option.values.choices:
            block = re.search(rf"^ +'{takes}' = \[ordered\]@{{\n(.*?)^        }}", text, re.MULTILINE | re.DOTALL)
            assert re.findall(r"^ +'(.*?)' = ", block[1], re.MULTILINE) == [value for value, _ in option.values.choices]


def syntax_errors(script):
    """The places that a grammar of PowerShell makes nothing of."""
    grammar, reader = pytest.importorskip("tree_sitter_powershell"), pytest.importorskip("tree_sitter")
    tree = reader.Parser(reader.Language(grammar.language())).parse(script.encode())
    nodes, bad = [tree.root_node], []
    while nodes:
        node = nodes.pop()
        bad += [tuple(node.start_point)] if node.is_error or node.is_missing else []
        nodes += node.children
    return bad


def test_powershell_parses():
    text = (made() / "smcli.ps1").read_text()
    assert syntax_errors(text) == []
    for right, wrong in (
        ("param(", "param(,"),
        ("foreach (", "foreach "),
        ("''s ", "'s "),
        ("    }\n", "\n"),
        ("@{ In", "@{ In In"),
    ):
        assert right in text and syntax_errors(text.replace(right, wrong, 1)), f"{wrong!r} is not noticed"


@needs("pwsh")
@pytest.mark.parametrize(
    ("line", "want"),
    [("smcli compl", "completions"), ("smcli compare -1 -2 --me", "--method"), ("smcli compare -m shi", "shifted")],
)
def test_tab_in_powershell(line, want):
    ask = f". {made()}/smcli.ps1; (TabExpansion2 '{line}' {len(line)}).CompletionMatches.CompletionText"
    done = subprocess.run(["pwsh", "-NoProfile", "-Command", ask], capture_output=True, text=True, check=True)
    assert want in done.stdout.split()
