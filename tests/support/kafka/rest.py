"""JSON over HTTP for the Connect worker and the registry, with the status and text of what was refused."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any


class Refused(RuntimeError):
    """An answer of 4xx or 5xx."""

    def __init__(self, method: str, url: str, status: int, text: str):
        super().__init__(f"{method} {url}: {status} {text}")
        self.status = status
        self.text = text


def call(method: str, url: str, body: Any = None, timeout: float = 30, content: str = "application/json") -> Any:
    """The answer's JSON, None when it is empty. Raises Refused, or OSError when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Accept": "application/json"} | ({"Content-Type": content} if data is not None else {})
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read()
    except urllib.error.HTTPError as refused:
        raise Refused(method, url, refused.code, refused.read().decode(errors="replace")) from None
    return json.loads(text) if text else None
