"""Windows logins of a SQL Server (the stand-in) by NTLMv2: DOMAIN\\user as `user`."""

from __future__ import annotations

import pytest
from support import tls
from support.mssql import MsReplica
from support.tds import MssqlServer, ntlm


@pytest.fixture
def own(pg_server):
    server = MssqlServer(pg_server)
    server.windows_users["CORP", "juergen"] = "pässword-of-windows"
    yield server
    server.destroy()


def test_md4():
    """RFC 1320, A.5."""
    assert ntlm.md4(b"").hex() == "31d6cfe0d16ae931b73c59d7e0c089c0"
    assert ntlm.md4(b"message digest").hex() == "d9130a8164549fe818874806e1c7014b"
    assert ntlm.md4(b"1234567890" * 8).hex() == "e33b4ddc9c38f2199c3e7b164fcc0536"


@pytest.mark.parametrize("encrypt", ["off", "require"])
def test_windows_login(engine, own, target, tmp_path, encrypt):
    options = {"user": "CORP\\juergen", "password": "pässword-of-windows", "encrypt": encrypt}
    if encrypt == "require":
        authority = tls.Authority.create(tmp_path)
        own.use_tls(*authority.issue("localhost"))
        options |= {"host": "localhost", "ca_file": str(authority.ca_file)}
    ms = own.create_database()
    ms.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY)", "INSERT INTO dbo.t VALUES (1)")
    pipe = MsReplica(engine, ms, target, source=options, mode="full_load_only")
    pipe.once()
    assert target.query("SELECT id FROM dbo.t") == [(1,)]
    for wrong in ({"password": "wrong-secret"}, {"user": "OTHER\\juergen"}, {"user": "CORP\\nobody"}):
        pipe.source.update(options | wrong)
        pipe.write()
        refused = pipe.engine.cmd("check", str(pipe.path)).expect(3)
        assert "18452" in refused.output and "check user and password" in refused.output, refused.describe()
        assert "wrong-secret" not in refused.output and "pässword" not in refused.output
