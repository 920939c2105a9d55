"""The headers of every response that does not set them itself."""

from __future__ import annotations

from typing import Final

SAFE_HEADERS: Final = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"private, no-store",
}
"""Nothing may be run from the response (Content Security Policy), and it may not be embedded by other sites
(Cross-Origin-Resource-Policy), taken for another type (nosniff), or stored by anyone (OWASP REST Security Cheat
Sheet)."""
