"""scan: one document whoever does the work, nothing lost and nothing counted twice, and errors that name the file."""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import smcli
from smcli import render
from smcli.cli.app import run
from smcli.document.style import Style
from smcli.errors import InputError, UsageError
from smcli.problem.specs import IN_FLOAT64, NO_LIMIT, LossSpec, Numerics
from smcli.read import How, _arrays
from smcli.request import Request
from smcli.scan import pool
from smcli.scan.run import Way, scan
from smcli.scan.tally import BadRow, Tally, histogram, worst_of

RANDOM = np.random.default_rng(11)


def request(*dtypes, methods=(), quantities=(), **loss):
    numerics = Numerics(dtypes=dtypes) if dtypes else Numerics()
    return Request(
        command="scan", methods=methods, quantities=quantities, numerics=numerics, loss=LossSpec(**loss),
        tolerance=NO_LIMIT, trace=False,
    )  # fmt: skip


def scanned(paths, asked=None, *, how=None, progress=None, **way):
    return scan([str(p) for p in paths], asked or request(), how or How(), Way(**way), progress=progress)


def cli(*words, capsys):
    code = run(["scan", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def smcli_command(*words, **given):
    command = [sys.executable, "-m", "smcli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **given)


@pytest.fixture
def small_blocks(monkeypatch):
    """Files are cut into many tasks."""
    monkeypatch.setattr(_arrays, "BLOCK", 1000)
    monkeypatch.setattr(pool, "FIRST", 0)


@pytest.fixture
def rows(tmp_path):
    """A file of 400 rows, with one that overflows and one that is masked altogether."""
    x = RANDOM.normal(0, 20, (400, 30)).astype(np.float32)
    x[17, 5], x[42] = 95, -np.inf
    np.save(tmp_path / "x.npy", x)
    return tmp_path / "x.npy", x


def test_the_document_is_that_of_compare(rows):
    path, x = rows
    doc = scanned([path]).to_dict()
    report = smcli.compare(x, quantities=["softmax"]).to_dict()
    assert doc["schema"] == "smcli.scan/1" and doc["dtype"] == "float32" and not doc["partial"]
    assert doc["rows"] == 400 and doc["values"] == x.size and doc["files"] == [{"file": str(path), "rows": 400}]
    for one in doc["methods"]:
        of = [m for r in report["rows"] for m in r["results"][0]["methods"] if m["method"] == one["method"]]
        verdicts = [v for m in of for v in m["verdicts"]]
        assert (
            one["verdicts"] == {v: verdicts.count(v) for v in one["verdicts"]}
            and sum(one["verdicts"].values()) == x.size
        )
        assert sum(one["histogram"]["counts"]) == x.size - verdicts.count("undefined") < x.size, (
            "nothing to measure there"
        )
        row, index = one["worst_at"]
        worst = of[row]["ulp"][index]
        assert worst == one["worst_ulp"] or worst == pytest.approx(one["worst_ulp"], rel=1e-2)
    found = {}
    for r in report["rows"]:
        for code in {f["code"] for f in r["findings"]}:
            found.setdefault(code, []).append(r["row"])
    assert doc["findings"] == {code: {"rows": len(at), "first_row": at[0]} for code, at in sorted(found.items())}


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("quick", [False, True])
def test_any_number_of_workers_gives_the_same_document(rows, quick):
    path, x = rows
    other = path.with_name("y.npy")
    np.save(other, np.asfortranarray(x[:100]))
    paths = [path, other, path]
    alone = scanned(paths, quick=quick)
    assert alone.tally.rows == 900
    for jobs in (2, 3):
        assert scanned(paths, jobs=jobs, quick=quick).to_dict() == alone.to_dict()


@pytest.mark.parametrize("block", [30, 1000, 4001])
def test_the_cut_does_not_matter(rows, block, monkeypatch):
    path, _ = rows
    whole = scanned([path]).to_dict()
    monkeypatch.setattr(_arrays, "BLOCK", block)
    assert scanned([path]).to_dict() == whole


@pytest.mark.usefixtures("small_blocks")
def test_spawned_workers_do_as_well(rows):
    """Where a method may have threads in it, workers are no copies of this process."""
    path, _ = rows
    pytest.importorskip("scipy")
    asked = request(methods=("scipy", "shifted"))
    assert scanned([path], asked, jobs=2).to_dict() == scanned([path], asked).to_dict()


@pytest.mark.usefixtures("small_blocks")
def test_a_worker_that_is_killed_loses_nothing(tmp_path):
    x = RANDOM.normal(0, 20, (3000, 30)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    killed = []

    def progress(done, of):
        assert done <= of == 3000
        if len(killed) < 2 and done > 500 * len(killed):
            for process in multiprocessing.active_children()[:1]:
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)

    report = scanned([tmp_path / "x.npy"], jobs=2, progress=progress)
    assert killed
    assert report.to_dict() == scanned([tmp_path / "x.npy"]).to_dict()


@pytest.mark.usefixtures("small_blocks")
def test_when_every_worker_dies_this_process_does_it(rows, monkeypatch):
    path, _ = rows
    monkeypatch.setattr(pool, "RESTARTS", 0)

    def progress(_done, _of):
        for process in multiprocessing.active_children():
            with contextlib.suppress(ProcessLookupError):  # it may be gone already
                os.kill(process.pid, signal.SIGKILL)

    assert scanned([path], jobs=2, progress=progress).to_dict() == scanned([path]).to_dict()


def test_a_dask_cluster_says_the_same(rows):
    distributed = pytest.importorskip("distributed")
    path, _ = rows
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0"
    ) as cluster:
        got = scanned([path, path], scheduler=cluster.scheduler_address)
    assert got.to_dict() == scanned([path, path]).to_dict()


@pytest.mark.usefixtures("small_blocks")
def test_a_worker_of_a_dask_cluster_that_is_killed_loses_nothing(tmp_path):
    distributed = pytest.importorskip("distributed")
    np.save(tmp_path / "x.npy", RANDOM.normal(0, 20, (3000, 30)).astype(np.float32))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0"
    ) as cluster:
        killed = []

        def progress(_done, _of):
            if not killed:
                worker = next(iter(cluster.workers.values()))
                os.kill(worker.pid, signal.SIGKILL)
                killed.append(worker)

        got = scanned([tmp_path / "x.npy"], scheduler=cluster.scheduler_address, progress=progress)
    assert killed and got.to_dict() == scanned([tmp_path / "x.npy"]).to_dict()


def test_no_scheduler(rows, monkeypatch):
    path, _ = rows
    monkeypatch.setattr(pool, "PATIENCE", 1)
    with pytest.raises(UsageError, match=r"distributed|no Dask scheduler"):
        scanned([path], scheduler="tcp://127.0.0.1:9")


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_what_was_seen(jobs):
    for pause in (3, 10, 30):  # until it has seen all, which a busy machine takes long for
        process = smcli_command("scan", "-", "-f", "json", "--jobs", jobs, stdin=subprocess.PIPE)
        process.stdin.write("1 2 3\n" * 3000)
        process.stdin.flush()
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        if out and json.loads(out)["rows"] == 3000:
            break
    doc = json.loads(out)
    assert process.returncode == 130 and doc["partial"] is True and not err
    assert doc["rows"] == 3000 == sum(doc["methods"][0]["verdicts"].values()) / 3


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups")
def test_ctrl_c_on_a_terminal_reaches_the_workers_too(tmp_path):
    big = np.lib.format.open_memmap(tmp_path / "big.npy", mode="w+", dtype=np.float64, shape=(4000, 5000))
    big[:] = RANDOM.normal(0, 5, (1, 5000))
    del big
    process = smcli_command("scan", tmp_path / "big.npy", "-f", "json", "--jobs", 2, start_new_session=True)
    time.sleep(4)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    doc = json.loads(out)
    assert not err
    if process.returncode == 130:
        assert doc["partial"] is True and doc["rows"] < 4000
        assert all(sum(m["verdicts"].values()) == doc["values"] for m in doc["methods"])
    else:  # a fast machine
        assert process.returncode == 0 and doc["rows"] == 4000


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="no /proc")
@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGKILL])
def test_workers_do_not_outlive_the_program(tmp_path, signal_):
    big = np.lib.format.open_memmap(tmp_path / "big.npy", mode="w+", dtype=np.float64, shape=(8000, 5000))
    big[:] = RANDOM.normal(0, 5, (1, 5000))
    del big
    process = smcli_command("scan", tmp_path / "big.npy", "--jobs", 2, "-o", os.devnull, "-f", "json")
    workers = []
    for _ in range(100):
        time.sleep(0.1)
        workers = [pid for pid in os.listdir("/proc") if pid.isdigit() and parent_of(pid) == process.pid]
        if len(workers) >= 2 or process.poll() is not None:
            break
    process.send_signal(signal_)
    process.communicate(timeout=60)
    for _ in range(100):
        if not any(parent_of(pid) for pid in workers):
            return
        time.sleep(0.1)
    pytest.fail("a worker is still there")


def parent_of(pid):
    """The parent of a process; 0 where it is not there any more, or only its exit code is."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            state, parent = stat.read().rpartition(")")[2].split()[:2]
    except OSError:
        return 0
    return 0 if state == "Z" else int(parent)


def test_kinds_of_files_say_the_same(tmp_path):
    x = RANDOM.normal(0, 30, (50, 7))
    np.save(tmp_path / "a.npy", x)
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    np.save(tmp_path / "t.npy", x.T.copy())
    np.save(tmp_path / "d.npy", x.reshape(5, 10, 7))
    np.savez(tmp_path / "z.npz", logits=x, other=np.zeros(3))
    np.savez_compressed(tmp_path / "c.npz", logits=x)
    (tmp_path / "t.txt").write_text("".join(" ".join(map(repr, r)) + "\n" for r in x.tolist()))
    (tmp_path / "c.csv").write_text("".join(",".join(map(repr, r)) + "\n" for r in x.tolist()))
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(r) + "\n" for r in x.tolist()))
    (tmp_path / "j.json").write_text(json.dumps(x.tolist()))
    docs = []
    for name, how in (
        ("a.npy", {}), ("f.npy", {}), ("t.npy", {"axis": 0}), ("d.npy", {}), ("z.npz", {"key": "logits"}), ("c.npz", {}),
        ("t.txt", {}), ("c.csv", {}), ("l.jsonl", {}), ("j.json", {}),
    ):  # fmt: skip
        for jobs in (1, 2):
            doc = scanned([tmp_path / name], how=How(**how), jobs=jobs).to_dict()
            assert doc.pop("files") == [{"file": str(tmp_path / name), "rows": 50}]
            for bad in doc["worst_rows"]:
                bad.pop("file")
            docs.append(doc)
    assert all(doc == docs[0] for doc in docs)


def test_integers_are_read(tmp_path):
    np.save(tmp_path / "i.npy", np.arange(12).reshape(3, 4))
    report = scanned([tmp_path / "i.npy"])
    assert report.dtype == "float64" and report.tally.rows == 3


def test_rows_of_several_lengths(tmp_path):
    (tmp_path / "x.txt").write_text("1 2 3\n1000 2000\n4 5 6 7\n")
    doc = scanned([tmp_path / "x.txt"]).to_dict()
    assert doc["rows"] == 3 and doc["values"] == 9 and doc["findings"]["SM201"] == {"rows": 1, "first_row": 1}


def test_a_fifo(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("1 2 3\n1000 2000 3000\n"))
    writer.start()
    report = scanned([pipe], jobs=2)
    writer.join()
    assert report.tally.rows == 2 and report.tally.findings["SM201"] == (1, 1)


def test_the_format_is_that_of_the_files(tmp_path):
    for name, dtype in (("a", np.float16), ("b", np.float16), ("c", np.float32)):
        np.save(tmp_path / f"{name}.npy", np.ones((2, 3), dtype))
    a, b, c = (tmp_path / f"{name}.npy" for name in "abc")
    assert scanned([a, b]).dtype == "float16"
    with pytest.raises(UsageError, match=r"c.npy is float32, files before it are float16"):
        scanned([a, c])
    assert scanned([a, c], request("bfloat16")).dtype == "bfloat16"


def test_places_are_told_by_file_and_over_all(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    np.save(tmp_path / "b.npy", np.array([[0.0, 1.0], [0.0, 800.0]]))
    doc = scanned([tmp_path / "a.npy", tmp_path / "b.npy"]).to_dict()
    assert doc["findings"]["SM201"] == {"rows": 1, "first_row": 4}
    assert next(m for m in doc["methods"] if m["method"] == "naive")["worst_at"] == [4, 1]
    assert doc["worst_rows"][0] == {
        "file": str(tmp_path / "b.npy"), "row": 1, "method": "naive", "quantity": "softmax", "ulp": "nan"
    }  # fmt: skip


def test_targets(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.array([[1.0, 2.0], [0.0, -800.0], [3.0, 4.0]]))
    np.save(tmp_path / "t.npy", np.array([0, 1, 1]))
    code, out, _ = cli(tmp_path / "x.npy", "-t", tmp_path / "t.npy", "-q", "cross-entropy", "-f", "json", capsys=capsys)
    assert code == 0 and json.loads(out)["findings"]["SM303"] == {"rows": 1, "first_row": 1}
    for wrong in ([0, 1], [0, 1, 1, 1], [0, 1, 2]):
        np.save(tmp_path / "t.npy", np.array(wrong))
        code, _, err = cli(tmp_path / "x.npy", "-t", tmp_path / "t.npy", "-q", "cross-entropy", capsys=capsys)
        assert code == 2 and "target" in err
    assert "target 2 of row 2 is not a class" in err


def test_targets_run_over_all_files(tmp_path):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.array([[0.0, -800.0], [0.0, -800.0]]))
    asked = request(quantities=("cross-entropy",), target=(0, 0, 1, 0))
    report = scanned([tmp_path / "a.npy", tmp_path / "b.npy"], asked)
    assert report.tally.findings["SM303"] == (1, 2)
    assert report.command(2).endswith("-t 1") and report.command(3).endswith("-t 0")
    with pytest.raises(InputError, match="row 3"):
        scanned([tmp_path / "a.npy", tmp_path / "b.npy"], request(quantities=("cross-entropy",), target=(0, 0, 1, 5)))


def test_targets_that_a_file_carries(tmp_path):
    np.savez(tmp_path / "x.npz", logits=np.array([[1.0, 2.0], [0.0, -800.0]]), target=np.array([0, 1]))
    report = scanned([tmp_path / "x.npz"], request(quantities=("cross-entropy",)))
    assert (
        report.tally.findings["SM303"] == (1, 1) and report.tally.counts["shifted", "cross-entropy"].verdicts.sum() == 2
    )


def test_a_file_that_fails_does_not_shift_the_targets_of_others(tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"junk")
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    paths = [tmp_path / "bad.npy", tmp_path / "x.npy"]
    assert scanned(paths, request(target=(1,)), keep_going=True).tally.rows == 2
    with pytest.raises(InputError, match=r"bad\.npy"):
        scanned(paths, request(target=(1, 0)))


def losses(report):
    """The worst rows by naive cross-entropy, which is lost where the target's logit is 800 below."""
    return {(report.place(bad.row), bad.rank == math.inf) for bad in report.tally.worst_rows}


@pytest.mark.parametrize("jobs", [1, 2])
def test_targets_of_a_file_that_fails_go_with_it(tmp_path, jobs):
    """Where it is known how many rows it has, those of the next files are their own; too few or too many are refused."""
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", np.array([[0.0, 800], [800, 0]]))
    paths = [tmp_path / f"{name}.npy" for name in "abc"]
    asked = ("cross-entropy",)
    whole = scanned(paths, request(quantities=asked, target=(1, 1, 0, 0, 1, 0)), jobs=jobs)
    left = scanned(paths, request(quantities=asked, target=(1, 1, 0, 7, 1, 0)), jobs=jobs, keep_going=True)
    assert [name for name, _ in left.errors] == [str(paths[1])]
    assert "target 7" in left.errors[0][1].message
    assert losses(left) == {known for known in losses(whole) if known[0][0] != str(paths[1])}
    for target in ((1, 1, 0, 7, 1), (1, 1, 0, 7, 1, 0, 0)):
        with pytest.raises(InputError, match="rows"):
            scanned(paths, request(quantities=asked, target=target), jobs=jobs, keep_going=True)


def test_targets_after_a_file_of_unknown_length_are_given_to_nobody(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    (tmp_path / "b.txt").write_text("1 2\n" * 3 + "1 two\n")
    np.save(tmp_path / "c.npy", np.zeros((2, 2)))
    np.save(tmp_path / "t.npy", np.zeros(8, int))
    words = [
        *(tmp_path / name for name in ("a.npy", "b.txt", "c.npy")),
        "--target",
        tmp_path / "t.npy",
        "-d",
        "float64",
    ]
    code, out, err = cli(*words, "--keep-going", "-f", "json", capsys=capsys)
    doc = json.loads(out)
    assert code == 2 and doc["rows"] == 2 and [f["file"] for f in doc["files"]] == [str(tmp_path / "a.npy")]
    told = {e["file"]: e["message"] for e in doc["errors"]}
    assert list(told) == [str(tmp_path / "b.txt"), str(tmp_path / "c.npy")]
    assert "'two'" in told[str(tmp_path / "b.txt")]
    assert f"targets are its own depends on how many rows {tmp_path / 'b.txt'} has" in told[str(tmp_path / "c.npy")]
    assert "c.npy was not scanned" in err
    assert cli(*words, capsys=capsys)[0] == 2


def short_entry(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z, z.open("x.npy", "w", force_zip64=True) as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": (1 << 20, 1 << 10)})
        for _ in range(16):
            out.write(bytes(1 << 20))


def cut(path):
    np.save(path, np.zeros((100, 100)))
    path.write_bytes(path.read_bytes()[:5000])


def lying(path):
    np.save(path, np.zeros(4))
    path.write_bytes(path.read_bytes().replace(b"(4,)", b"(9999999999,)"))


HOSTILE = {
    "pickle.npy": lambda path: np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True),
    "cut.npy": cut,
    "lying.npy": lying,
    "entry.npz": short_entry,
    "other.npy": lambda path: path.write_bytes(b"hello"),
    "empty.npy": lambda path: path.write_bytes(b""),
    "complex.npy": lambda path: np.save(path, np.zeros((3, 4), complex)),
    "rowless.npy": lambda path: np.save(path, np.zeros((0, 4))),
    "classless.npy": lambda path: np.save(path, np.zeros((3, 0))),
    "words.txt": lambda path: path.write_text("1 2 3\n1 two 3\n"),
    "folder.npy": lambda path: path.mkdir(),
    "missing.npy": lambda _path: None,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_bad_files_are_refused_by_name(tmp_path, name, capsys):
    HOSTILE[name](tmp_path / name)
    code, out, err = cli(tmp_path / name, "-f", "json", capsys=capsys)
    assert code == 2 and not out and name in err and err.startswith("error: ")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("jobs", [1, 2])
def test_one_bad_file_among_many(tmp_path, name, jobs, capsys):
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    np.save(tmp_path / "b.npy", np.full((2, 4), 800.0))
    HOSTILE[name](tmp_path / name)
    words = [tmp_path / "a.npy", tmp_path / name, tmp_path / "b.npy", "-f", "json", "--jobs", jobs, "-d", "float64"]
    code, out, err = cli(*words, capsys=capsys)
    assert code == 2 and not out and name in err
    code, out, err = cli(*words, "--keep-going", capsys=capsys)
    doc = json.loads(out)
    assert code == 2 and name in err and doc["findings"]["SM201"]["rows"] == 2
    assert [e["file"] for e in doc["errors"]] == [str(tmp_path / name)]
    assert doc["rows"] == 5 + (name == "words.txt") * 0


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="no permissions of POSIX")
@pytest.mark.parametrize("suffix", ["npy", "txt"])
def test_a_file_that_may_not_be_read(tmp_path, suffix, capsys):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(b"1 2 3")
    np.save(tmp_path / "x.npy", np.zeros((3, 4)))
    assert cli(path, capsys=capsys)[0] == 0  # everything is imported
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        code, out, err = cli(path, capsys=capsys)
    finally:
        os.seteuid(user)
    assert code == 2 and not out and f"x.{suffix} cannot be read: Permission denied" in err


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("quick", [False, True])
def test_a_file_that_shrinks_while_it_is_read(tmp_path, jobs, quick):
    path = tmp_path / "x.npy"
    np.save(path, RANDOM.normal(0, 20, (30000, 30)).astype(np.float32))

    def progress(_done, _of):
        if path.stat().st_size > 50_000:
            os.truncate(path, 50_000)

    with pytest.raises(InputError, match=r"x\.npy"):
        scanned([path], jobs=jobs, quick=quick, progress=progress)


def test_patterns(tmp_path, capsys):
    for k in range(3):
        np.save(tmp_path / f"part-{k}.npy", np.full((2, 3), float(k)))
    code, out, _ = cli(tmp_path / "part-*.npy", "-f", "json", capsys=capsys)
    assert code == 0 and [f["file"][-10:] for f in json.loads(out)["files"]] == [f"part-{k}.npy" for k in range(3)]
    code, _, err = cli(tmp_path / "none-*.npy", capsys=capsys)
    assert code == 2 and "no file matches" in err
    odd = tmp_path / "a[1].npy"
    np.save(odd, np.zeros((2, 3)))
    assert cli(odd, capsys=capsys)[0] == 0


def test_nothing_to_read(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    code, _, err = cli(capsys=capsys)
    assert code == 2 and "no file" in err


def test_the_commands_run_and_show_the_row(tmp_path, capsys):
    x = RANDOM.normal(0, 5, (20, 4))
    x[7, 2] = 900
    np.save(tmp_path / "x y.npy", x)
    np.savez(tmp_path / "x.npz", logits=x, more=x)
    head = "a,b,c,d,y\n"
    (tmp_path / "x.csv").write_text(head + "".join(",".join(map(repr, r)) + ",1\n" for r in x.tolist()))
    for words in (
        [tmp_path / "x y.npy", "-d", "float32", "-m", "naive,shifted"],
        [tmp_path / "x.npz", "--key", "more", "--quantity", "log-softmax", "-T", "0.5"],
        [tmp_path / "x.csv", "--target-column", "y", "-q", "cross-entropy"],
        [tmp_path / "x.csv", "--columns", "a,b,c", "-q", "softmax", "-q", "logsumexp", "-t", "1"],
    ):
        code, out, _ = cli(*words, capsys=capsys)
        assert code == 0
        lines = [line.strip() for line in out.splitlines() if "smcli compare" in line]
        assert any("--rows 7:8" in line for line in lines)
        for line in lines:
            assert run(shlex.split(line)[1:]) == 0
            assert capsys.readouterr().out


@pytest.mark.parametrize("name", ["x.txt", "x.csv", "head.csv", "x.npy"])
def test_the_command_of_a_column_shows_it_as_compare_reads_it(tmp_path, name, capsys):
    path = tmp_path / name
    if name == "x.npy":
        np.save(path, np.array([[1.0], [2], [900]]))
    else:
        path.write_text("v\n" * (name == "head.csv") + "1\n2\n900\n")
    code, out, _ = cli(path, capsys=capsys)
    assert code == 0
    assert ("holds one number" in out) == (name != "x.npy")
    lines = [line.strip() for line in out.splitlines() if "smcli compare" in line]
    assert lines
    for line in lines:
        assert run(shlex.split(line)[1:]) == 0
        assert "900" in capsys.readouterr().out or "--rows" in line


def test_a_text_of_which_only_some_lines_hold_one_number_is_no_column(tmp_path, capsys):
    (tmp_path / "x.txt").write_text("1\n2 3\n900\n")
    _, out, _ = cli(tmp_path / "x.txt", capsys=capsys)
    assert "holds one number" not in out
    assert "--rows 2:3" in out


def test_the_table_is_short_and_shows_the_distribution(rows, capsys):
    path, _ = rows
    code, out, _ = cli(path, capsys=capsys)
    assert code == 0 and len(out.splitlines()) < 80
    assert "400 rows, 12000 logits, float32" in out and "up to ulp" in out and "█" in out and "SM103" in out
    _, summary, _ = cli(path, "--summary", capsys=capsys)
    assert "SM103" in summary and "up to ulp" not in summary and "smcli compare" not in summary


def test_every_output_format(rows, capsys):
    path, _ = rows
    for name in render.names():
        code, out, _ = cli(path, "-f", name, capsys=capsys)
        assert out and code == 0, name
        assert "SM103" in out or name == "svg", name


def test_html_has_a_figure(rows):
    page = render.text(scanned([rows[0]]), "html")
    assert page.count("<svg") == 2 and "how many values have how large an error" in page


def test_csv_and_plain_have_no_bars(rows):
    for name in ("csv", "plain"):
        assert "█" not in render.text(scanned([rows[0]]), name)


def test_annotations_of_a_run(rows):
    *lines, last = render.text(scanned([rows[0]]), "github").splitlines()
    assert any(
        re.fullmatch(r"::error title=SM103 all-masked::1 row, the first is row 42 of .*x\.npy — .*", s) for s in lines
    )
    assert last.startswith("smcli scan: float32 · 400 rows")


def test_what_is_partial_says_so(rows):
    from dataclasses import replace

    report = replace(scanned([rows[0]]), partial=True)
    assert report.to_dict()["partial"] is True and "interrupted" in render.text(report, "table", Style())


def test_exit_codes(rows, capsys):
    path, _ = rows
    assert cli(path, "--fail-on", "error", capsys=capsys)[0] == 1
    assert cli(path, "--fail-on", "SM202", capsys=capsys)[0] == 0
    assert cli(path, "-m", "shifted", "--max-ulp", "1e9", capsys=capsys)[0] == 0
    assert cli(path, "-m", "shifted", "--max-ulp", "2", capsys=capsys)[0] == 1
    assert cli(path, "-m", "shifted", "--max-rel", "1e-7", capsys=capsys)[0] == 1
    assert cli(path, "-d", "float32,float16", capsys=capsys)[0] == 2
    for words in (["-T", "2"], ["-m", "naive"], ["-q", "softmax"], ["--max-ulp", "3"]):
        code, _, err = cli(path, "--quick", *words, capsys=capsys)
        assert code == 2 and "--quick" in err
    assert cli(path, "--quick", "--fail-on", "SM103", capsys=capsys)[0] == 1


def test_a_method_that_is_not_there(rows, capsys, monkeypatch):
    path, _ = rows
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, err = cli(path, "-m", "torch", capsys=capsys)
    assert code == 3 and "torch" in err


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_tells_the_rows_that_are_done_and_of_how_many(tmp_path, jobs, quick):
    """Of files alike the number of all is known from the first; of text it is not."""
    for k, rows in enumerate((700, 300)):
        np.save(tmp_path / f"{k}.npy", RANDOM.normal(0, 5, (rows, 8)))
    calls = []
    scanned(sorted(tmp_path.glob("*.npy")), jobs=jobs, quick=quick, progress=lambda *told: calls.append(told))
    done, of = zip(*calls, strict=True)
    assert list(done) == sorted(done) and len(done) > 1 and done[-1] == of[-1] == 1000
    assert all(abs(n - 1000) <= 10 for n in of)
    (tmp_path / "x.txt").write_text("1 2 3\n" * 50)
    calls.clear()
    scanned([tmp_path / "x.txt"], jobs=jobs, quick=quick, progress=lambda *told: calls.append(told))
    assert calls[-1] == (50, None)


def test_progress_is_for_terminals_only(tmp_path):
    pexpect = pytest.importorskip("pexpect")
    big = np.lib.format.open_memmap(tmp_path / "big.npy", mode="w+", dtype=np.float64, shape=(4000, 2000))
    big[:] = RANDOM.normal(0, 5, (1, 2000))
    del big
    words = [
        "-m",
        "smcli",
        "scan",
        str(tmp_path / "big.npy"),
        "--jobs",
        "1",
        "--summary",
        "-o",
        str(tmp_path / "o.json"),
    ]
    shown = pexpect.run(f"{sys.executable} {shlex.join(words)}", env={**os.environ, "TERM": "xterm"}, timeout=120)
    assert b"rows/s" in shown and b" rows" in shown
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    assert not done.stdout and not done.stderr


def test_tallies_add_up_in_any_grouping():
    some = [
        Tally(rows=k, values=k * k, findings={"SM101": (k, k)}, worst_rows=(BadRow(k % 3, k),)) for k in range(1, 9)
    ]
    total = Tally()
    for one in some:
        total += one
    pairs = [a + b for a, b in zip(some[::2], some[1::2], strict=True)]
    again = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3])
    assert (total.rows, total.values, total.findings, total.worst_rows) == (
        again.rows, again.values, again.findings, again.worst_rows
    )  # fmt: skip
    assert [bad.row for bad in total.worst_rows] == [2, 5, 8, 1, 4, 7, 3, 6]


def test_of_equal_rows_the_first_are_remembered():
    assert [bad.row for bad in worst_of(BadRow(float("inf"), row) for row in range(100, 0, -1))] == list(range(1, 21))


def test_the_histogram_counts_edges_with_what_is_below():
    ulp = np.array([0.0, 0.5, np.nextafter(0.5, 1), 1.0, 8.0, 1e9, np.inf, np.nan, 65536.0])
    assert histogram(ulp).tolist() == [2, 2, 0, 0, 1, 0, 0, 0, 0, 1, 3]


def test_the_default_format_is_float64(tmp_path):
    (tmp_path / "x.txt").write_text("0.1 0.2\n")
    assert scanned([tmp_path / "x.txt"]).dtype == IN_FLOAT64.dtypes[0]


def in_memory(megabytes, *words):
    """The document of a scan whose process may have so much data of its own; mapped files do not count there."""
    resource = pytest.importorskip("resource")

    def limited():
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, megabytes << 20))

    process = smcli_command("scan", *words, "--jobs", 1, "-f", "json", preexec_fn=limited)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def test_memory_does_not_grow_with_the_file(tmp_path):
    """A file of 1 GB, which is all holes."""
    np.lib.format.open_memmap(tmp_path / "big.npy", mode="w+", dtype=np.float16, shape=(1 << 12, 1 << 17)).flush()
    doc = in_memory(400, tmp_path / "big.npy", "--quick")
    assert doc["rows"] == 1 << 12 and doc["extremes"] == {"least": 0, "most": 0}


@pytest.mark.parametrize(("dtype", "shape"), [(np.float32, (1 << 13, 1 << 12)), (np.float64, (1 << 18, 8))])
def test_a_whole_scan_needs_as_little_memory_as_its_page_says(tmp_path, dtype, shape):
    said = re.search(
        r"less than (\d+) MB of data", (Path(__file__).parent.parent / "docs" / "scan.md").read_text("utf-8")
    )
    assert said
    np.lib.format.open_memmap(tmp_path / "big.npy", mode="w+", dtype=dtype, shape=shape).flush()
    assert in_memory(int(said[1]), tmp_path / "big.npy")["rows"] == shape[0]


def test_no_shortcut_takes_a_wider_arithmetic_for_the_plain_one(tmp_path):
    """Long rows of float32 have a short way of counting; --compute changes what is counted."""
    x = np.random.default_rng(2).normal(0, 8, (2, 70000)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    plain = scanned([tmp_path / "x.npy"], request(methods=("naive",))).to_dict()["methods"][0]
    numerics = Numerics(dtypes=("float32",), compute="float64")
    wide = replace(request(methods=("naive",)), numerics=numerics)
    document = scanned([tmp_path / "x.npy"], wide).to_dict()["methods"][0]
    assert document["worst_ulp"] <= 0.5 + 1e-6 < plain["worst_ulp"]
    report = smcli.compare(x, dtype="float32", compute="float64", methods="naive", quantities="softmax")
    assert document["verdicts"] == report.scores()[0].counts


def test_no_shortcut_leaves_out_the_cumulative_sum(tmp_path):
    """Added up in float32 one after the other, three million equal probabilities end at 1.03."""
    np.save(tmp_path / "x.npy", np.zeros((1, 3_000_000), np.float32))
    asked = request(methods=("shifted",))
    assert "SM407" in scanned([tmp_path / "x.npy"], asked).to_dict()["findings"]
