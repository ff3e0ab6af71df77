"""Loaded by schemathesis: as whom it asks, and what keeps its run from ending itself.

`FLUXGATE_E2E_TOKEN` is shown as a bearer token; `FLUXGATE_E2E_OWN` has the ids, separated by commas, of
the account and the session that it is of.
"""

import datetime
import os
import random
import uuid

import schemathesis

TOKEN, OWN = os.environ["FLUXGATE_E2E_TOKEN"], os.environ["FLUXGATE_E2E_OWN"].split(",")
DICE = random.Random(1)


@schemathesis.auth().skip_for(path="/api/v1/auth/logout")
class Bearer:
    def get(self, _case, _context):
        return TOKEN

    def set(self, case, token, _context):
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.hook
def before_call(_context, case, **_kwargs):
    # Nobody ends the session, changes the role or disables the account that the run needs.
    if str(case.path_parameters.get("id")).lower() in OWN:
        case.path_parameters["id"] = str(uuid.UUID(int=DICE.getrandbits(128), version=4))
    # No generator guesses a time to come, or who there is: half of the time they are left to it.
    if isinstance(case.body, dict) and case.meta.generation.mode.is_positive and DICE.random() < 0.5:
        if case.body.get("expires_at"):
            soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
            case.body["expires_at"] = soon.isoformat()
        for reference in ("user", "team"):
            case.body.pop(reference, None)
