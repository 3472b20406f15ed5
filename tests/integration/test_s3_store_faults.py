"""The S3 store when the server, the network, the clock or the certificate misbehave, and when it is
cancelled. Driven like test_s3_store.py."""

from __future__ import annotations

import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from s3_driver import (  # noqa: F401
    ERROR_EPOCH_ABORTED,
    ERROR_RETRYABLE,
    MIB,
    Driver,
    expected,
    find_driver,
    link,
    options,
    start,
)
from support import faultproxy as fp
from support import s3


# ------------------------------------------------------------------------------------ faults


def test_slow_down_storm(start, bucket, link):
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    link.rule(fp.slow_down(), rate=0.4)
    link.rule(fp.internal_error(), rate=0.1)
    driver.ask(f"upload big {31 * MIB} 1000000").expect()
    for number in range(5):
        driver.ask(f"put k{number} new x").expect()
    assert bucket.get("big") == expected(31 * MIB)
    assert link.count("SlowDown") > 3
    assert not bucket.uploads()


def test_retry_after_is_honoured(start, link):
    driver = start(endpoint=link.endpoint)
    link.rule(fp.slow_down(retry_after="2"), times=1)
    assert 2 <= driver.ask("put k new x").expect().seconds < 4


def test_gives_up_with_a_retryable_error(start, link):
    driver = start(endpoint=link.endpoint, retry_attempts=4)
    link.rule(fp.slow_down())
    answer = driver.ask("put k new x").expect("UNAVAILABLE")
    assert answer.flags == ERROR_RETRYABLE and "after 4 tries" in answer.message
    link.clear()
    link.rule(fp.slow_down(retry_after="3000"))
    answer = driver.ask("put k2 new x").expect("UNAVAILABLE")
    assert answer.seconds < 2, "a wait beyond the budget is not begun"


@pytest.mark.parametrize("amount", [0, 100_000, 5_000_000])
def test_reset_while_a_part_is_sent(start, bucket, link, amount):
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    link.rule(fp.reset_upload(amount), match=fp.is_part, times=2)
    driver.ask(f"upload big {16 * MIB} 1000000").expect()
    assert bucket.get("big") == expected(16 * MIB)
    assert link.count("reset_upload") == 2


def test_lost_reply_to_a_put(start, bucket, link):
    driver = start(endpoint=link.endpoint)
    link.rule(fp.drop_reply(), match=fp.is_put, times=1)
    driver.ask("put k new x").expect()
    assert bucket.get("k") == b"x"
    assert "reply was lost" in driver.log


def test_put_conflict_after_a_lost_request(start, bucket, link):
    """Our first try never arrived, and another writer was quicker."""
    driver = start(endpoint=link.endpoint)
    link.rule(fp.reset(), match=fp.is_put, times=1)
    bucket.put("k", b"theirs")
    driver.ask("put k new ours").expect("CONFLICT")
    assert bucket.get("k") == b"theirs"


def test_lost_reply_to_complete(start, bucket, link):
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    link.rule(fp.drop_reply(), match=fp.is_complete, times=1)
    driver.ask(f"upload big {11 * MIB} 1000000").expect()
    assert bucket.get("big") == expected(11 * MIB)
    assert not bucket.uploads()


@pytest.mark.parametrize("then", [
    fp.answer(404, "NoSuchUpload", "The specified upload does not exist."),
    fp.answer(412, "PreconditionFailed", "At least one precondition did not hold."),
    fp.conflict(),
], ids=["404", "412", "409"])
def test_complete_whose_repetition_is_refused(start, bucket, link, then):
    """The reply to Complete is lost; asked again, the server says what AWS and MinIO say."""
    driver = start(endpoint=link.endpoint, part_size=5 * MIB, retry_attempts=3)
    link.rule(fp.drop_reply(), match=fp.is_complete, times=1)
    link.rule(then, match=fp.is_complete)
    driver.ask(f"upload big {11 * MIB} 1000000").expect()
    assert bucket.get("big") == expected(11 * MIB)


def test_upload_that_vanished(start, bucket, link):
    """NoSuchUpload and no object: only writing it anew helps, and the engine is told so."""
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    link.rule(fp.answer(404, "NoSuchUpload", "gone"), match=fp.is_complete)
    answer = driver.ask(f"upload big {11 * MIB} 1000000").expect("UNAVAILABLE")
    assert answer.flags == ERROR_RETRYABLE | ERROR_EPOCH_ABORTED
    driver.close()
    assert not bucket.keys() and not bucket.uploads()


def test_complete_conflicts_with_another_object(start, bucket, link):
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    bucket.put("big", b"theirs")
    driver.ask(f"upload big {11 * MIB} 1000000").expect("CONFLICT")
    driver.close()
    assert bucket.get("big") == b"theirs" and not bucket.uploads()


@pytest.mark.parametrize("forward", [False, True])
def test_error_in_200(start, bucket, link, forward):
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    link.rule(fp.error_in_200(forward=forward), match=fp.is_complete, times=2)
    driver.ask(f"upload big {11 * MIB} 1000000").expect()
    assert bucket.get("big") == expected(11 * MIB)
    assert link.count("200+InternalError") == 2


def test_truncated_reply_to_complete(start, bucket, link):
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    link.rule(fp.truncate(60), match=fp.is_complete, times=1)
    driver.ask(f"upload big {11 * MIB} 1000000").expect()
    assert bucket.get("big") == expected(11 * MIB)


def test_truncated_and_sliced_lists(start, bucket, link):
    for number in range(30):
        bucket.put(f"l/{number:02d}", b"x")
    driver = start(endpoint=link.endpoint)
    link.rule(fp.truncate(300), times=1)
    link.rule(fp.slices(), times=1)
    assert len(driver.ask("list l/").expect().keys) == 30


def test_part_is_refused_for_good(start, bucket, link):
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    link.rule(fp.answer(403, "AccessDenied", "no"), match=lambda r: fp.is_part(r) and "2" in r.query["partNumber"])
    driver.ask(f"upload big {64 * MIB} 1000000").expect("PERMISSION")
    driver.close()
    assert not bucket.keys() and not bucket.uploads()


def skewed(how: str) -> fp.Fault:
    fault = fp.skewed()
    if how == "header":
        fault.headers["Date"] = formatdate(usegmt=True)
    else:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode()
        fault.body = fault.body.replace(b"<Resource>", b"<ServerTime>" + now + b"</ServerTime><Resource>")
    return fault


@pytest.mark.parametrize("how", ["header", "body"])
def test_clock_is_corrected_once(start, link, how):
    driver = start(endpoint=link.endpoint)
    link.rule(skewed(how), times=1)
    driver.ask("put k new x").expect()
    link.rule(skewed(how))
    answer = driver.ask("put k2 new x").expect("AUTH")
    assert "clock" in answer.message and answer.seconds < 2


def test_clock_really_off(bucket, workdir):
    """20 minutes behind: the server refuses the first request, and its Date mends the rest."""
    library = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
    driver_path = find_driver()
    if not library.exists():
        pytest.skip("NOT RUN: libfaketime is not installed")
    if b"libasan" in driver_path.read_bytes():
        pytest.skip("a sanitizer does not stand a preloaded library before it")
    env = {"LD_PRELOAD": str(library), "FAKETIME": "-20m", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    driver = Driver(options(bucket), workdir / "d.log", env)
    driver.ask("create").expect()
    driver.ask("open").expect()
    driver.ask("put k new x").expect()
    assert any(severity == 3 and "clock" in what for severity, _k, what, _r in driver.ask("check").findings)
    assert driver.number("counter s3_requests") <= 9
    driver.close()


def test_stalled_server_times_out(start, link):
    driver = start(endpoint=link.endpoint, stall_timeout=1_000_000, retry_attempts=2)
    link.rule(fp.stall(30), match=fp.is_put, times=1)
    answer = driver.ask("put k new x").expect()
    assert 0.9 < answer.seconds < 5


# ------------------------------------------------------------------------------------ cancel


def test_cancel_wakes_a_waiting_upload(start, bucket, link):
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    link.rule(fp.stall(60), match=fp.is_part)
    driver.ask("cancel_after 500").expect()
    answer = driver.ask(f"upload big {200 * MIB} 1000000").expect("CANCELLED")
    assert answer.seconds < 1.5
    assert driver.close() < 3
    assert not bucket.uploads(), "aborting is still done after a cancel"


def test_cancel_wakes_a_retry(start, link):
    driver = start(endpoint=link.endpoint)
    link.rule(fp.slow_down(retry_after="20"))
    driver.ask("cancel_after 500").expect()
    answer = driver.ask("put k new x").expect("CANCELLED")
    assert answer.seconds < 1
    assert driver.ask("get k 10").expect("CANCELLED").seconds < 0.2
    assert driver.close() < 1


def test_cancel_with_a_dead_server_ends_soon(start, link):
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    link.rule(fp.stall(60), match=lambda r: fp.is_part(r) or r.method == "DELETE")
    driver.ask("cancel_after 300").expect()
    driver.ask(f"upload big {100 * MIB} 1000000").expect("CANCELLED")
    assert driver.close() < 4


# ------------------------------------------------------------------------------------ TLS


def tls_driver(bucket: s3.Bucket, workdir: Path, **more: Any) -> Driver:
    driver = Driver(options(bucket, retry_attempts=2, **more), workdir / "tls.log")
    driver.ask("create").expect()
    return driver


def test_tls_with_own_authority(tls_bucket, workdir):
    driver = tls_driver(tls_bucket, workdir, part_size=5 * MIB)
    driver.ask("open").expect()
    driver.ask(f"upload big {11 * MIB} 1000000").expect()
    assert tls_bucket.get("big") == expected(11 * MIB)
    driver.close()


def test_tls_with_a_wrong_authority(tls_bucket, workdir):
    other = s3.Authority.create(workdir / "other")
    driver = tls_driver(tls_bucket, workdir, ca_file=other.ca_file)
    answer = driver.ask("open").expect("AUTH")
    assert "ca_file" in answer.message and answer.flags == 0 and answer.seconds < 2
    driver.close()
    driver = tls_driver(tls_bucket, workdir, ca_file="/nonexistent/ca.pem")
    assert "ca_file" in driver.ask("open").expect("INVALID").message
    driver.close()


def test_https_against_a_plain_server(start, s3_server):
    driver = start(opened=False, endpoint=f"https://127.0.0.1:{s3_server.port}", retry_attempts=2)
    answer = driver.ask("open").expect("UNAVAILABLE")
    assert "TLS" in answer.message
