"""Which keys of a reply name secrets, and which only look like it."""

from __future__ import annotations

import pytest

from crm_adapter.payload import plain, stable

SECRET = (
    "root_pass", "vnc_pass", "vncPass", "pass", "root_pwd", "rootPwd", "rootpwd", "pwd", "passwd", "password", "rootPassword",
    "passphrase", "admin_pass_hash", "cloud_init", "cloudInit", "user_data", "api_key", "apikey", "apiKey", "X-API-Key",
    "access_key", "secret_key", "private_key", "ssh_key", "ssh_keys", "cert_key", "certKey", "license_key", "LICENSE_KEY",
    "licensekey", "key_pass", "token", "refresh_token", "auth", "basic_auth", "authHeader", "authorization", "bearer",
    "credentials", "pin", "PIN", "pin_code", "otp", "otp_code", "backup_otp", "psk", "wifi_psk", "psk_value", "cookie",
    "set-cookie", "session", "session_id", "sessionId", "client_secret", "kubeconfig",
)  # fmt: skip
HARMLESS = (
    "keyboard", "keyboard_layout", "monkey", "key", "author", "authority", "authored_by", "auth_type", "pinned", "is_pinned",
    "pin_count", "spin", "ping", "session_count", "sessions_limit", "obsession", "cookies_policy", "cookiecutter", "optional",
    "bearing", "name", "id", "server_id", "project_id", "preset_id", "comment", "location", "zone", "is_ddos_guard",
    "cpu_frequency", "boot_mode", "networks", "ips", "ptr",
)  # fmt: skip


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_taken_out_at_any_depth(name: str) -> None:
    reply = {"id": 1, name: "leak", "disks": [{"id": 2, name: {"deep": "leak"}}]}
    assert plain(reply) == {"id": 1, "disks": [{"id": 2}]}
    assert "leak" not in repr(stable(plain(reply)))


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_name_stays(name: str) -> None:
    assert plain({name: "kept"}) == {name: "kept"}
