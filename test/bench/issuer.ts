import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'

const PROJECT = `P${'2bench'.padEnd(27, 'x')}`
const SERVER = `MS${'3bench'.padEnd(27, 'x')}`
const CLIENT = 'bench-client'

export interface Issuer {
  configUrl: string
  issuer: string
  jwksUrl: string
  /** Mints an access token that lives for an hour. */
  mint(audience: string): Promise<string>
  close(): void
}

/** Serves a discovery document and keys in Descope's shape, and signs real RS256 tokens. */
export async function startIssuer(): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair('RS256')
  const key = { ...(await exportJWK(publicKey)), alg: 'RS256', use: 'sig', kid: 'bench' }
  const documents = new Map<string, unknown>()
  const server = createServer((request, response) => {
    const document = documents.get(request.url ?? '')
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(document ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const path = `/v1/apps/agentic/${PROJECT}/${SERVER}`
  const issuer = base + path
  const jwksUrl = `${base}/${PROJECT}/.well-known/jwks.json`
  const discovery = {
    issuer,
    authorization_endpoint: `${base}/oauth2${path}/authorize`,
    token_endpoint: `${base}/oauth2${path}/token`,
    registration_endpoint: `${base}/v1/mgmt/mcp/client/${PROJECT}/${SERVER}/register`,
    revocation_endpoint: `${base}/oauth2/v1/apps/${PROJECT}/revoke`,
    userinfo_endpoint: `${base}/oauth2/v1/apps/${PROJECT}/userinfo`,
    jwks_uri: jwksUrl,
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
    code_challenge_methods_supported: ['S256'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post'],
    scopes_supported: ['mcp:use'],
  }
  documents.set(`${path}/.well-known/openid-configuration`, discovery)
  documents.set(`${path}/.well-known/oauth-authorization-server`, discovery)
  documents.set(new URL(jwksUrl).pathname, { keys: [key] })
  return {
    configUrl: `${issuer}/.well-known/openid-configuration`,
    issuer,
    jwksUrl,
    mint: (audience) =>
      new SignJWT({ azp: CLIENT, client_id: CLIENT, scope: 'mcp:use', amr: ['email'] })
        .setProtectedHeader({ alg: 'RS256', kid: 'bench', typ: 'JWT' })
        .setIssuer(issuer)
        .setAudience([CLIENT, PROJECT, audience])
        .setSubject('U2bench')
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(privateKey),
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
