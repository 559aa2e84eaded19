"""The DNS plugin `certbot-dns-timeweb` against the emulator: a challenge is where it was asked for, and gone afterwards."""

import subprocess

from tests.emulator.foreign.conftest import TOKEN, Report, asked, foreign

_SCRIPT = """
import sys
from unittest import mock

from certbot_dns_timeweb import authenticator
from certbot_dns_timeweb.client import TimewebClient

url, token = sys.argv[1:]
plugin = authenticator.Authenticator(mock.MagicMock(), name="dns-timeweb")
plugin.__dict__["_client"] = client = TimewebClient(api_key=token, base_url=url + "/api/v1")


def values(name):
    records = client._request("GET", f"/domains/{name}/dns-records")["dns_records"]
    return sorted(record["data"]["value"] for record in records if record["fqdn"] == name and record["type"] == "TXT")


for domain in ("example.com", "shop.example.com", "*.example.com"):
    name = "_acme-challenge." + domain.removeprefix("*.")
    assert values(name) == []
    plugin._perform(domain, name, "first")
    plugin._perform(domain, name, "second")
    assert values(name) == ["first", "second"], (domain, values(name))
    assert "first" not in values("example.com")
    plugin._cleanup(domain, name, "first")
    assert values(name) == [], domain
print("done")
"""


def test_challenges_of_apex_subdomain_and_wildcard(server: str, report: Report) -> None:
    command = [foreign("certbot_dns_timeweb"), "-c", _SCRIPT, server, TOKEN]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert finished.stdout == "done\n", finished.stderr
    report("certbot-dns-timeweb", asked(server), asked(server))  # it raises for a reply that it does not understand
