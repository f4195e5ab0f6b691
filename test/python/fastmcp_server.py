"""An MCP server on FastMCP with its own sign-in, for tests.

python fastmcp_server.py bound|default|proxy

bound:   clients may ask only for the scopes that they registered
default: the same; clients that registered none get the default ones
proxy:   FastMCP's OAuthProxy before an authorization server that registers nobody
"""

import socket
import sys
import threading

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth import AccessToken, OAuthProxy, TokenVerifier
from fastmcp.server.auth.auth import ClientRegistrationOptions, RevocationOptions
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from fastmcp.server.dependencies import get_access_token
from key_value.aio.stores.memory import MemoryStore
from mcp.shared.auth import OAuthClientInformationFull
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse

READ, WRITE = "notes:read", "notes:write"
MODE = sys.argv[1]
counts = {"registrations": 0, "refreshes": 0, "methods": [], "scopes": []}


def listener() -> socket.socket:
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    return found


def url_of(sock: socket.socket) -> str:
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


class Counting:
    """Counts what a client does at the provider of the server under test."""

    async def register_client(self, client_info):
        counts["registrations"] += 1
        counts["methods"].append(client_info.token_endpoint_auth_method)
        counts["scopes"].append(client_info.scope)
        await super().register_client(client_info)

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        counts["refreshes"] += 1
        return await super().exchange_refresh_token(client, refresh_token, scopes)


class OwnServer(Counting, InMemoryOAuthProvider):
    pass


class Proxy(Counting, OAuthProxy):
    pass


def own_server(base_url: str) -> OwnServer:
    return OwnServer(
        base_url=base_url,
        client_registration_options=ClientRegistrationOptions(
            enabled=True,
            valid_scopes=[READ, WRITE],
            default_scopes=[READ] if MODE == "default" else None,
        ),
        revocation_options=RevocationOptions(enabled=True),
        required_scopes=[READ],
    )


class UpstreamTokens(TokenVerifier):
    def __init__(self, upstream: InMemoryOAuthProvider):
        super().__init__(required_scopes=[READ])
        self.upstream = upstream

    async def verify_token(self, token: str) -> AccessToken | None:
        return await self.upstream.verify_token(token)


def proxy(base_url: str) -> tuple[Proxy, InMemoryOAuthProvider]:
    """Starts the authorization server behind the proxy, which knows one client."""
    sock = listener()
    upstream = InMemoryOAuthProvider(base_url=url_of(sock), required_scopes=[READ])
    upstream.clients["upstream-client"] = OAuthClientInformationFull(
        client_id="upstream-client",
        client_secret="upstream-secret-upstream-secret",
        redirect_uris=[f"{base_url}/auth/callback"],
        scope=f"{READ} {WRITE}",
        token_endpoint_auth_method="client_secret_post",
    )
    app = Starlette(routes=upstream.get_routes("/mcp"))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    threading.Thread(target=server.run, args=([sock],), daemon=True).start()
    return (
        Proxy(
            upstream_authorization_endpoint=f"{url_of(sock)}/authorize",
            upstream_token_endpoint=f"{url_of(sock)}/token",
            upstream_client_id="upstream-client",
            upstream_client_secret="upstream-secret-upstream-secret",
            token_endpoint_auth_method="client_secret_post",
            token_verifier=UpstreamTokens(upstream),
            base_url=base_url,
            valid_scopes=[READ, WRITE],
            client_storage=MemoryStore(),
            require_authorization_consent=False,
        ),
        upstream,
    )


sock = listener()
base = url_of(sock)
auth, tokens = proxy(base) if MODE == "proxy" else (own_server(base),) * 2
mcp = FastMCP("notes", auth=auth)


@mcp.tool
def add(text: str) -> str:
    token = get_access_token()
    return f"added {text} with {' '.join(sorted(token.scopes if token else []))}"


@mcp.custom_route("/test/counts", methods=["GET"])
async def tell_counts(_request: Request) -> JSONResponse:
    return JSONResponse(counts)


@mcp.custom_route("/test/forget-access-tokens", methods=["POST"])
async def forget_access_tokens(_request: Request) -> JSONResponse:
    """All access tokens end; the refresh tokens stay good."""
    tokens.access_tokens.clear()
    return JSONResponse({})


@mcp.custom_route("/test/require-writing", methods=["POST"])
async def require_writing(_request: Request) -> JSONResponse:
    """From now on, every request needs a scope more."""
    auth.required_scopes.append(WRITE)
    return JSONResponse({})


app = mcp.http_app(path="/mcp")
print(f"{base}/mcp", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([sock])
