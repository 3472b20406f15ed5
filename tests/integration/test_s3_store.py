"""The S3 store alone, through tests/unit/s3/driver: what it writes and reads, with which credentials
and where. Contents are read back with boto3."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from s3_driver import ERROR_RETRYABLE, MIB, Driver, expected, link, options, start  # noqa: F401
from support import faultproxy as fp
from support import proc, s3


# ------------------------------------------------------------------------------------ plain work


KEYS = [
    "plain.json",
    "a b+c%20d/ä€😀/x=1/~'()*!;:@&,$.json",
    "public.%22odd%20name%22/full/20261123T005234Z/0-1.jsonl",
    "_sluice/p/lake/commits/00000000000000000001.json",
]


def test_put_get_list(start, bucket):
    driver = start(prefix="hr/data lake")
    for number, key in enumerate(KEYS):
        driver.ask(f"put {quote(key)} new text-{number}").expect()
        assert bucket.get("hr/data lake/" + key) == f"text-{number}".encode()
        assert driver.ask(f"get {quote(key)} 100").expect().data == f"text-{number}"
    bucket.put("hr/other", b"x")
    assert driver.ask("list _sluice/").expect().keys == [KEYS[3]]
    assert driver.ask("list " + quote("a b+c%20d/")).expect().keys == [KEYS[1]]
    assert driver.ask("get missing 10").expect("NOT_FOUND").flags == 0
    assert driver.ask("get plain.json 3").expect("LIMIT")
    assert "prefix" in driver.ask("get " + "k" * 1100 + " 3").expect("LIMIT").message


def test_put_new_is_fenced(start, bucket):
    driver = start()
    driver.ask("put k new one").expect()
    answer = driver.ask("put k new one").expect("CONFLICT")
    assert "exists already" in answer.message and answer.flags == 0
    assert bucket.get("k") == b"one"
    driver.ask("put k over two").expect()
    assert bucket.get("k") == b"two"


def test_list_pages(start, bucket):
    for number in range(1005):
        bucket.put(f"p/{number:05d}.json", b"x")
    driver = start()
    assert driver.ask("list p/").expect().keys == [f"p/{n:05d}.json" for n in range(1005)]
    after = driver.ask("list p/ p/00999.json").expect().keys
    assert after == [f"p/{n:05d}.json" for n in range(1000, 1005)]


@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 17 * MIB + 123])
def test_upload_sizes(start, bucket, size):
    driver = start(part_size=5 * MIB)
    driver.ask(f"upload big/x.bin {size} 65536").expect()
    assert bucket.get("big/x.bin") == expected(size)
    head = bucket.client.head_object(Bucket=bucket.name, Key="big/x.bin")
    assert head["ContentType"] == "application/x-ndjson"
    assert len(head["Metadata"]["sluice-attempt"]) == 32
    assert not bucket.uploads()
    assert driver.ask(f"upload big/x.bin {size} 65536").expect("CONFLICT").flags == 0
    driver.close()
    assert not bucket.uploads()
    assert bucket.get("big/x.bin") == expected(size)


@pytest.mark.parametrize("checksum", [1, 2, 3, 4], ids=["none", "crc32c", "sha256", "md5"])
@pytest.mark.parametrize("sign_payload", [1, 2], ids=["signed", "unsigned"])
def test_checksums(start, bucket, checksum, sign_payload):
    driver = start(part_size=5 * MIB, checksum=checksum, sign_payload=sign_payload)
    driver.ask(f"upload big {11 * MIB} 1000000").expect()
    driver.ask("upload small 1000 100").expect()
    driver.ask("put tiny new x").expect()
    assert bucket.get("big") == expected(11 * MIB)
    assert bucket.get("small") == expected(1000)


def test_encryption_and_storage_headers(start, link):
    driver = start(
        endpoint=link.endpoint, part_size=5 * MIB, server_side_encryption=2, kms_key_id="my-key",
        storage_class="STANDARD",
    )
    driver.ask(f"upload big {6 * MIB} 1000000").expect()
    driver.ask("upload small 10 10").expect()
    driver.ask("put manifest new x").expect()
    for request, _done, _status in link.log:
        data = fp.is_create_upload(request) or fp.is_put(request)
        named = request.headers.get("x-amz-server-side-encryption-aws-kms-key-id")
        assert named == ("my-key" if data else None)
        stored = data and not request.path.endswith("manifest")
        assert request.headers.get("x-amz-storage-class") == ("STANDARD" if stored else None)
        assert "x-amz-acl" not in request.headers


def test_abort_leaves_nothing(start, bucket):
    driver = start(part_size=5 * MIB)
    driver.ask(f"upload big {12 * MIB} 100000 abort").expect()
    driver.close()
    # Nobody waits for the abort, and a server may be busy with a part that was cut off.
    proc.wait_until(lambda: not bucket.uploads(), 20, "the upload is gone", every=0.2)
    assert not bucket.keys()


def test_virtual_host_style(start, bucket, s3_server):
    driver = start(endpoint=f"http://localhost:{s3_server.port}", path_style=2)
    driver.ask("put a%20b new x").expect()
    assert bucket.get("a b") == b"x"


def test_parallel_uploads_stay_in_budget(start, bucket):
    driver = start(part_size=5 * MIB, upload_concurrency=2)
    driver.ask(f"memory {25 * MIB}").expect()
    driver.ask(f"parallel 4 {23 * MIB}").expect()
    for number in range(4):
        assert bucket.get(f"par/{number}") == expected(23 * MIB + number)
    # Four lanes hold one part each at the least, whatever the budget.
    assert driver.number("peak") <= 40 * MIB
    assert not bucket.uploads()


def test_keeps_connections(start, bucket, link):
    driver = start(endpoint=link.endpoint, part_size=5 * MIB)
    for number in range(10):
        driver.ask(f"put k{number} new x").expect()
    driver.ask(f"upload big {30 * MIB} 1000000").expect()
    assert link.connections <= 5


# ------------------------------------------------------------------------------------ credentials


def test_credentials_from_environment_and_profile(start, bucket, workdir):
    keys = {"AWS_ACCESS_KEY_ID": s3.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": s3.SECRET_KEY}
    named = options(bucket)
    named.pop("access_key_id")
    named.pop("secret_access_key")
    driver = Driver(named, workdir / "env.log", keys)
    driver.ask("create").expect()
    driver.ask("open").expect()
    driver.close()
    file = workdir / "credentials"
    file.write_text(
        f"[work]\naws_access_key_id={s3.ACCESS_KEY}\naws_secret_access_key = {s3.SECRET_KEY}\n"
    )
    named.pop("region")
    (workdir / "config").write_text("[profile work]\nregion = us-east-1\n")
    env = {
        "AWS_SHARED_CREDENTIALS_FILE": str(file),
        "AWS_CONFIG_FILE": str(workdir / "config"),
        "AWS_PROFILE": "work",
    }
    driver = Driver(named, workdir / "profile.log", env)
    driver.ask("create").expect()
    driver.ask("open").expect()
    driver.close()
    driver = Driver(named, workdir / "none.log")
    driver.ask("create").expect()
    answer = driver.ask("open").expect("AUTH")
    assert "AWS_ACCESS_KEY_ID" in answer.message
    driver.close()


def test_wrong_keys(start):
    driver = start(opened=False, secret_access_key="wrong-secret")
    answer = driver.ask("open").expect("AUTH")
    assert "SignatureDoesNotMatch" in answer.message and "secret_access_key" in answer.message
    assert answer.flags == 0 and answer.seconds < 2
    driver = start(opened=False, access_key_id="nobody")
    assert "access_key_id" in driver.ask("open").expect("AUTH").message


def test_access_denied(start, link):
    link.rule(fp.answer(403, "AccessDenied", "Access Denied"), match=fp.is_put)
    driver = start(endpoint=link.endpoint)
    answer = driver.ask("put k new x").expect("PERMISSION")
    assert "s3:PutObject" in answer.message and answer.flags == 0 and answer.native == 403


def test_expired_token_is_renewed_from_the_file(start, bucket, link, workdir):
    file = workdir / "credentials"
    text = "[default]\naws_access_key_id={}\naws_secret_access_key={}\n"
    file.write_text(text.format("old", "old"))
    named = options(bucket, endpoint=link.endpoint)
    named.pop("access_key_id")
    named.pop("secret_access_key")
    driver = Driver(named, workdir / "d.log", {"AWS_SHARED_CREDENTIALS_FILE": str(file)})
    driver.ask("create").expect()
    driver.ask("open").expect("AUTH")
    link.rule(fp.expired_token(), times=1)
    file.write_text(text.format(s3.ACCESS_KEY, s3.SECRET_KEY))
    driver.ask("open").expect()
    link.rule(fp.expired_token(), times=1)  # nothing newer in the file: an error, no loop
    assert "session credentials" in driver.ask("open").expect("AUTH").message
    driver.close()


class Services(http.server.BaseHTTPRequestHandler):
    """The services that hand out credentials; `seen` keeps what was asked."""

    seen: list[tuple[str, str, dict[str, str], str]] = []
    lifetime = 3600
    failures = 0  # so many requests are answered 503 first

    def log_message(self, *_args) -> None:
        pass

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def _creds(self) -> dict[str, str]:
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.lifetime))
        return {
            "Code": "Success",
            "AccessKeyId": s3.ACCESS_KEY,
            "SecretAccessKey": s3.SECRET_KEY,
            "Expiration": until,
        }

    def _note(self) -> bool:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append((self.command, self.path, headers, body))
        if Services.failures > 0:
            Services.failures -= 1
            self._answer(503, "busy")
            return False
        return True

    def do_PUT(self) -> None:
        if self._note():
            self._answer(200, "imds-session")

    def do_GET(self) -> None:
        if not self._note():
            return
        headers = self.seen[-1][2]
        if self.path == "/container":
            good = headers.get("authorization") == "pod-token"
            self._answer(200 if good else 401, json.dumps(self._creds()))
        elif headers.get("x-aws-ec2-metadata-token") != "imds-session":
            self._answer(401, "")
        elif self.path.endswith("/security-credentials/"):
            self._answer(200, "my-role")
        else:
            self._answer(200, json.dumps(self._creds()))

    def do_POST(self) -> None:
        if not self._note():
            return
        inner = "".join(f"<{k}>{v}</{k}>" for k, v in self._creds().items())
        self._answer(200, f"<R><Credentials>{inner}</Credentials></R>")


@pytest.fixture
def services() -> Iterator[Any]:
    Services.seen, Services.lifetime, Services.failures = [], 3600, 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Services)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", ["container", "instance", "web identity"])
def test_credentials_from_services(bucket, workdir, services, kind):
    base = f"http://127.0.0.1:{services.server_port}"
    (workdir / "token").write_text("pod-token\n")
    env = {
        "container": {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": base + "/container",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(workdir / "token"),
        },
        "instance": {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": base,
            "AWS_EC2_METADATA_DISABLED": "false",
        },
        "web identity": {
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(workdir / "token"),
            "AWS_ENDPOINT_URL_STS": base,
        },
    }[kind]
    # Variables such as these must not redirect anything.
    env |= {"http_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    named = options(bucket)
    named.pop("access_key_id")
    named.pop("secret_access_key")
    driver = Driver(named, workdir / "d.log", env)
    driver.ask("create").expect()
    driver.ask("open").expect()
    asked = len(Services.seen)
    assert asked == {"container": 1, "instance": 3, "web identity": 1}[kind]
    driver.ask("put k new x").expect()
    assert len(Services.seen) == asked, "credentials are kept while they last"
    assert f"source={kind.replace('instance', 'instance metadata')}" in driver.log
    if kind == "web identity":
        assert "WebIdentityToken=pod-token" in Services.seen[0][3]
        assert "pod-token" not in Services.seen[0][1]
    driver.close()
    assert "pod-token" not in driver.log and "imds-session" not in driver.log
    Services.lifetime = 200  # closer than five minutes: renewed each time
    Services.seen.clear()
    driver = Driver(named, workdir / "d2.log", env)
    driver.ask("create").expect()
    driver.ask("open").expect()
    driver.ask("get k 10").expect()
    assert len(Services.seen) == 2 * asked
    driver.close()


def test_credentials_service_that_fails_for_a_while(bucket, workdir, services):
    base = f"http://127.0.0.1:{services.server_port}"
    (workdir / "token").write_text("pod-token")
    env = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": base + "/container",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(workdir / "token"),
    }
    named = options(bucket)
    named.pop("access_key_id")
    named.pop("secret_access_key")
    driver = Driver(named, workdir / "d.log", env)
    driver.ask("create").expect()
    Services.failures, Services.lifetime = 2, 200
    driver.ask("open").expect()
    assert len(Services.seen) == 3
    Services.failures = 1000  # the credentials at hand hold for minutes: used on, asked rarely
    driver.ask("put k new x").expect()
    driver.ask("get k 10").expect()
    driver.ask("get k 10").expect()
    assert len(Services.seen) == 4
    driver.close()
    driver = Driver({**named, "retry_attempts": 3}, workdir / "d2.log", env)
    driver.ask("create").expect()
    answer = driver.ask("open").expect("UNAVAILABLE")
    assert answer.flags == ERROR_RETRYABLE and "container credentials" in answer.message
    driver.close()


# ------------------------------------------------------------------------------------ wrong places


def test_bucket_missing(start):
    driver = start(opened=False, bucket="no-such-bucket-here")
    answer = driver.ask("open").expect("NOT_FOUND")
    assert "NoSuchBucket" in answer.message and "create the bucket" in answer.message


def test_region_is_discovered(start, bucket):
    driver = start(region="eu-west-1")
    driver.ask("put k new x").expect()
    assert bucket.get("k") == b"x"
    assert "another region" in driver.log
    assert driver.number("counter s3_requests") <= 4


@pytest.mark.parametrize("status", [301, 307, 400])
def test_region_from_a_redirect(start, link, status):
    code = {301: "PermanentRedirect", 307: "TemporaryRedirect", 400: "AuthorizationHeaderMalformed"}
    link.rule(
        fp.answer(status, code[status], "elsewhere", x_amz_bucket_region="us-east-1",
                  location="http://127.0.0.1:1/stolen"),
        times=1,
    )
    driver = start(endpoint=link.endpoint, region="ap-south-1")
    driver.ask("put k new x").expect()


def test_a_region_that_is_no_region_is_refused(start, link):
    link.rule(fp.answer(301, "PermanentRedirect", "x", x_amz_bucket_region="evil.example/"))
    driver = start(opened=False, endpoint=link.endpoint)
    answer = driver.ask("open").expect("INVALID")
    assert answer.seconds < 2 and len(link.log) == 1


def test_unreachable(start):
    driver = start(opened=False, endpoint="http://127.0.0.1:1", retry_attempts=3)
    answer = driver.ask("open").expect("UNAVAILABLE")
    assert answer.flags == ERROR_RETRYABLE and "endpoint" in answer.message


def test_not_s3_at_all(start, link):
    link.rule(fp.Fault("html", "reply", 200, {"Content-Type": "text/html"}, b"<html><p>hi</html>"))
    driver = start(opened=False, endpoint=link.endpoint, retry_attempts=2)
    driver.ask("open").expect("UNAVAILABLE")


# ------------------------------------------------------------------------------------ check


def test_check(start, bucket):
    driver = start(opened=False, prefix="hr")
    findings = driver.ask("check").expect().findings
    assert all(severity == 0 for severity, *_rest in findings), findings
    text = " ".join(what for _s, _k, what, _r in findings)
    for word in ("reachable", "list", "write", "abort", "read", "clock"):
        assert word in text
    assert not bucket.keys() and not bucket.uploads()


def test_check_reports_each_missing_right(start, link):
    link.rule(fp.answer(403, "AccessDenied", "no"))
    driver = start(opened=False, prefix="hr", endpoint=link.endpoint)
    findings = driver.ask("check").expect().findings
    errors = [(what, remedy) for severity, _k, what, remedy in findings if severity == 3]
    remedies = " ".join(remedy for _w, remedy in errors)
    for right in ("s3:ListBucket", "s3:PutObject", "s3:GetObject"):
        assert right in remedies
    assert "/hr/*" in remedies


def test_check_wrong_region_and_missing_bucket(start):
    driver = start(opened=False, region="eu-west-1")
    findings = driver.ask("check").expect().findings
    assert any(key == "region" and "us-east-1" in remedy for _s, key, _w, remedy in findings)
    driver = start(opened=False, bucket="no-such-bucket-here")
    answer = driver.ask("check").expect("NOT_FOUND")
    assert [key for severity, key, _w, _r in answer.findings if severity == 3] == ["bucket"]
