"""What the library knows about one endpoint. Operations are data: everything else reads them."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One endpoint of the API.

    `retry` is "safe" where the method may be repeated at will (GET, PUT, DELETE) and "unsent" where it is repeated
    only if the request provably never left or was refused (POST, PATCH).
    """

    id: str
    method: str
    path: str
    """The path template with its version, e.g. `/api/v1/servers/{server_id}`."""
    attribute: str
    """Where the method lives on a client, e.g. `servers.disks.backups.list`."""
    tag: str
    source: Literal["vendor", "overlay"] = "vendor"
    deprecated: bool = False
    replacement: str | None = None
    """The id of the operation to use instead of a deprecated one."""
    listing: bool = False
    """The method returns a page."""
    paginated: bool = False
    """The endpoint takes `limit` and `offset`."""
    retry: Literal["safe", "unsent"] = "safe"
    data_key: str | None = None
    """The key of the payload in the reply; None when the whole body is the payload."""
    item_key: str | None = None
    """The field that identifies an item of a list."""
    content: Literal["json", "text", "binary", "none"] = "json"
    """What a successful reply promises to carry."""
    body: Literal["json", "multipart", "binary"] | None = None
    path_params: tuple[str, ...] = ()
    query_params: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def table() -> dict[str, Operation]:
    """Return all operations by their ids; they are loaded with the first call."""
    from timeweb_sdk._generated.operation_table import TABLE

    return TABLE
