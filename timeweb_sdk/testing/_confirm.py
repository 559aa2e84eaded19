"""Deletion with confirmation, as accounts with two factors have it."""

from __future__ import annotations

from timeweb_sdk.testing._call import Answer, Call
from timeweb_sdk.testing._http import bad_request, not_found


def confirmation(call: Call) -> Answer | None:
    """The hash to come back with; None once hash and code were given, or where the account needs none."""
    key = call.endpoint.confirmation
    if not call.confirm_delete or key is None:
        return None
    subject = "/".join((call.endpoint.id, *call.path.values()))
    asked: dict[str, str] = call.account.inner("confirmations")
    if "hash" not in call.query:
        asked[subject] = call.account.new_uuid().replace("-", "")
        return Answer(200, {key: {"hash": asked[subject], "is_moved_in_quarantine": False}})
    if call.query["hash"] != asked.get(subject):
        raise not_found("Confirmation")
    if not call.query.get("code"):
        raise bad_request(["code should not be empty"])
    if call.query["code"] != call.account.confirmation_code:
        raise bad_request("Wrong confirmation code")
    del asked[subject]
    return None
