"""The community's SDK, `timeweb-cloud`, against the emulator."""

import subprocess

from tests.emulator.foreign.conftest import TOKEN, Report, asked, foreign

_SCRIPT = """
import sys
import httpx
from timeweb.sync_api.api import Timeweb

url, token = sys.argv[1:]
tw = Timeweb(token, httpx.Client(base_url=url + "/api/v1/", headers={"Authorization": "Bearer " + token}))
cloud = tw.servers.cloud

assert len(cloud.get_all().servers) == 23
assert cloud.get_presets().server_presets and cloud.get_configurators().server_configurators
assert cloud.get_os_list().servers_os and cloud.get_softwares().servers_software
assert tw.account.get_finances().finances.currency == "RUB"
assert [project.id for project in tw.projects.get_projects().projects] == [101, 102, 103]
assert len(tw.projects.get_project_servers(101).servers) == 1
assert tw.account.get_status().status.is_blocked is False

server = cloud.create("bought", is_ddos_guard=False, bandwidth=100, os_id=99, preset_id=2453).server
assert cloud.get(server.id).server.status == "on"
assert cloud.make_action(server.id, "shutdown") is True
assert cloud.get(server.id).server.status == "off"
assert cloud.make_action(server.id, "start") is True
assert cloud.get(server.id).server.status == "on"
assert cloud.get_server_disks(server.id).server_disks[0].is_system
assert cloud.get_server_ips(server.id).server_ips[0].is_main
assert cloud.delete(server.id) is True
assert server.id not in [other.id for other in cloud.get_all().servers]
print("done")
"""


def test_it_lists_buys_runs_and_deletes(server: str, report: Report) -> None:
    command = [foreign("timeweb"), "-c", _SCRIPT, server, TOKEN]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.stdout == "done\n", finished.stderr
    report("timeweb-cloud", asked(server), asked(server))  # it raises for a reply that it does not understand
