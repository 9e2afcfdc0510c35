"""An identity server out of oidc-provider-mock: one form, any client and secret, tokens without a key id.

Prints its issuer and ends with its standard input.
"""

import os
import sys
import threading

# It speaks HTTP.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import oidc_provider_mock
from werkzeug.serving import make_server


def account(login, name, verified):
    claims = {"name": name, "email": "alice@example.test", "email_verified": verified}
    return oidc_provider_mock.User(sub=login, claims=claims)


# Whoever else logs in has the login as address, and nothing says that it is verified.
accounts = [account("alice", "Alice Example", True), account("mallory", "Mallory Example", False)]
app = oidc_provider_mock.app(user_claims=accounts)


@app.after_request
def keep_styles_here(response):
    # Its pages take a style sheet from a host that a browser without the internet would wait for.
    response.headers["Content-Security-Policy"] = "style-src 'unsafe-inline'"
    return response


server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
# Its issuer is whatever host it was asked by.
print(f"issuer http://localhost:{server.server_port}", flush=True)
sys.stdin.read()
