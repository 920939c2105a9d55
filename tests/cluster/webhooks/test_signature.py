"""Signatures of webhooks, as the standard's own libraries make and check them."""

from __future__ import annotations

from cluster.store.webhooks import ROTATION_SECONDS, Secret
from cluster.webhooks.signature import signed_headers


def test_a_signature_is_that_of_the_standard() -> None:
    """The vector in the tests of the standard's libraries."""
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_several_secrets_sign_in_one_header() -> None:
    one = signed_headers("msg_1", 1, b"{}", ["whsec_AAAA"])["webhook-signature"]
    two = signed_headers("msg_1", 1, b"{}", ["whsec_BBBB"])["webhook-signature"]
    assert signed_headers("msg_1", 1, b"{}", ["whsec_AAAA", "whsec_BBBB"])["webhook-signature"] == f"{one} {two}"


def test_a_rotated_secret_signs_beside_its_successor_for_a_day() -> None:
    root = bytes(range(32))
    old = Secret().current(root, "wh_1")
    rotated = Secret().rotated(now=1_000.0)
    new = rotated.current(root, "wh_1")
    assert new != old
    assert rotated.valid(root, "wh_1", now=1_000.0 + ROTATION_SECONDS - 1) == [new, old]
    assert rotated.valid(root, "wh_1", now=1_000.0 + ROTATION_SECONDS) == [new]


def test_each_receiver_and_installation_has_secrets_of_its_own() -> None:
    secrets = {Secret().current(root, name) for root in (bytes(32), bytes([1] * 32)) for name in ("wh_1", "wh_2")}
    assert len(secrets) == 4
    assert all(secret.startswith("whsec_") for secret in secrets)
