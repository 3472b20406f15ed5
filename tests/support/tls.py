"""A certificate authority of our own, and certificates it signs, made with the openssl program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import proc


@dataclass
class Authority:
    """ca.crt is what clients trust. issue() makes server certificates."""

    root: Path

    @property
    def ca_file(self) -> Path:
        return self.root / "ca.crt"

    @classmethod
    def create(cls, root: Path, name: str = "sluice test CA") -> Authority:
        root.mkdir(parents=True, exist_ok=True)
        authority = cls(root)
        proc.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
            + ["-nodes", "-days", "30", "-subj", f"/CN={name}"]
            + ["-addext", "basicConstraints=critical,CA:TRUE"]
            + ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
            + ["-keyout", str(root / "ca.key"), "-out", str(authority.ca_file)]
        )
        return authority

    def issue(
        self,
        name: str,
        hosts: tuple[str, ...] = ("DNS:localhost", "IP:127.0.0.1"),
        days: int = 30,
    ) -> tuple[Path, Path]:
        """(certificate, key) for the given subjectAltName entries. days=0 is already expired."""
        key, csr = self.root / f"{name}.key", self.root / f"{name}.csr"
        crt, ext = self.root / f"{name}.crt", self.root / f"{name}.ext"
        proc.run(
            ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
            + ["-nodes", "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(csr)]
        )
        ext.write_text(
            f"subjectAltName={','.join(hosts)}\nbasicConstraints=CA:FALSE\n"
            "keyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        proc.run(
            ["openssl", "x509", "-req", "-in", str(csr), "-CA", str(self.ca_file)]
            + ["-CAkey", str(self.root / "ca.key"), "-CAcreateserial", "-days", str(days)]
            + ["-extfile", str(ext), "-out", str(crt)]
        )
        return crt, key
