"""Descope's own software as a witness of the emulator, for tests.

python descope_witness.py server CONFIG_URL   FastMCP's DescopeProvider in front of a tool
python descope_witness.py sdk                 Descope's SDK: requests as JSON on stdin, answers on stdout
"""

import json
import socket
import sys


def serve(config_url: str) -> None:
    import uvicorn
    from fastmcp import FastMCP
    from fastmcp.server.auth.providers.descope import DescopeProvider
    from fastmcp.server.dependencies import get_access_token

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    mcp = FastMCP("witness", auth=DescopeProvider(config_url=config_url, base_url=url))

    @mcp.tool
    def whoami() -> str:
        token = get_access_token()
        return json.dumps({"sub": token.claims["sub"], "scopes": token.scopes})

    print(f"{url}/mcp", flush=True)
    config = uvicorn.Config(mcp.http_app(), log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


def ask_sdk(request: dict) -> dict:
    from descope import DescopeClient
    from descope.exceptions import AuthException
    from jwt.exceptions import InvalidSignatureError

    project, key = request["project"], request["key"]
    client = DescopeClient(project_id=project, management_key=key, base_url=request["url"])
    mgmt = client.mgmt
    answers: dict = {}

    def attempt(name, call):
        try:
            answers[name] = call()
        except AuthException as error:
            answers[name] = {"status": error.status_code}
        except InvalidSignatureError:
            answers[name] = {"status": "signature"}

    attempt("session", lambda: client.validate_session(request["session"]))
    attempt("forged", lambda: client.validate_session(request["forged"]))
    attempt("access key", lambda: client.exchange_access_key(request["accessKey"]))
    attempt(
        "connection",
        lambda: mgmt.outbound_application.fetch_token("github", request["user"], None, {}),
    )
    attempt(
        "tenant of the user",
        lambda: mgmt.outbound_application.fetch_token_by_scopes(
            "github", request["user"], ["repo"], {"withRefreshToken": True}, request["tenant"]
        ),
    )
    attempt(
        "tenant",
        lambda: mgmt.outbound_application.fetch_tenant_token("slack", request["tenant"], {}),
    )
    attempt(
        "not connected",
        lambda: mgmt.outbound_application.fetch_token("nothing", request["user"], None, {}),
    )
    attempt(
        "audit",
        lambda: mgmt.audit.create_event(
            "tools/call", "info", request["user"], request["tenant"], request["user"], {"tool": "x"}
        ),
    )
    attempt("check", lambda: mgmt.fga.check(request["relations"]))
    return answers


if sys.argv[1] == "server":
    serve(sys.argv[2])
else:
    print(json.dumps(ask_sdk(json.load(sys.stdin)), default=str))
