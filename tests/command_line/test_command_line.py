"""The command line, as a user meets it: in processes of its own."""

import json
import signal
import subprocess
import sys
import time

import pytest

DEMO = [sys.executable, "-m", "sltrees", "demo"]
FIELDS = {
    "rmse",
    "n_iter",
    "test_accuracy",
    "seconds",
    "seconds_setup",
    "peak_rss_bytes",
    "width",
    "shift",
    "status",
    "history",
    "digest",
}


def run(*arguments, **options):
    return subprocess.run([*DEMO, *arguments], capture_output=True, text=True, timeout=120, **options)


def test_demo_prints_a_row_an_iteration_a_summary_and_json_last():
    done = run("--width", "16384", "--shift", "paper", "--json", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    report = json.loads(lines[-1])
    assert report.keys() >= FIELDS
    assert report["status"] == "converged"
    assert report["width"] == 16384
    assert report["rmse"] <= 1e-6
    assert report["test_accuracy"] >= 0.97
    assert len(report["history"]) == report["n_iter"]
    rows = [line.split() for line in lines[1 : 1 + report["n_iter"]]]
    assert [int(row[0]) for row in rows] == list(range(report["n_iter"]))
    assert float(rows[0][1]) == pytest.approx(report["history"][0]["rmse"], rel=1e-3)
    assert any(line.startswith("test accuracy") for line in lines)


def test_demo_gives_the_same_network_for_any_number_of_threads():
    reports = [run("--width", "4096", "--json", "--max-iter", "2", "--threads", threads).stdout for threads in "123"]
    assert len({json.loads(report.splitlines()[-1])["digest"] for report in reports}) == 1


def test_demo_without_a_step_claims_nothing_about_steps():
    done = run("--width", "4096", "--max-iter", "0", "--json")
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["n_iter"] == 0
    assert report["status"] == "max_iter"
    assert report["fired_share"] is None
    assert "an iteration looked at" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "0"], "width must be at least 1, got 0"),
        (["--width", "1.5"], "width must be an integer, got 1.5"),
        (["--width", "7"], "width must be even for init='paired', got 7"),
        (["--width", "nan"], "width must be an integer, got nan"),
        (["--width", "1e400"], "width must be an integer, got inf"),
        (["--width", "1e12"], "bytes"),
        (["--shift", "often"], "must be auto, paper, density or a number >= 0, got 'often'"),
        (["--shift=-1"], "shift must be finite and at least 0, got -1.0"),
        (["--threads", "0"], "n_threads must be at least 1, got 0"),
        (["--max-iter", "-1"], "max_iter must be at least 0, got -1"),
        (["--seed", "-1"], "random_state must be at least 0, got -1"),
        (["--seed", "1" + "0" * 400], "random_state must be at most"),
        (["--tol", "nan"], "tol must be finite and at least 0, got nan"),
        (["--dtype", "float16"], "invalid choice: 'float16'"),
        (["--method", "magic"], "invalid choice: 'magic'"),
    ],
)
def test_nonsense_is_refused_with_the_rule_and_the_value(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_reader_that_goes_away_is_no_traceback():
    process = subprocess.Popen([*DEMO, "--width", "4096"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == ""
    process.stderr.close()


def test_ctrl_c_ends_with_what_there_is():
    process = subprocess.Popen(
        [*DEMO, "--width", "65536", "--shift", "0.5", "--max-iter", "1000", "--tol", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().split()[:2] == ["iter", "rmse"]  # training has begun
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert json.loads(out.splitlines()[-1])["status"] == "interrupted"


def test_version_and_help():
    for flag in ("--version", "--help"):
        done = subprocess.run([sys.executable, "-m", "sltrees", flag], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0
        assert "sltrees" in done.stdout
