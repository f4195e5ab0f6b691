import type { IncomingMessage, ServerResponse } from 'node:http'
import { DISCOVERY_KINDS, type DiscoveryKind } from '../auth/descope/discovery.js'
import { identityIssuer } from '../auth/identity/signer.js'
import type { Descope } from '../auth/resource-server.js'
import { resourceMetadata } from '../auth/verify/resource-metadata.js'
import type { Target } from '../gateway/target.js'
import { wellKnownPath } from '../util/url-text.js'
import { type MakeOffers, renderLanding } from './landing-page.js'
import { OPEN_TO_ALL } from './origins.js'

export interface PublicRoutesOptions {
  /** `undefined` without authentication: then there is no metadata. */
  descope: Pick<Descope, 'issuer' | 'document' | 'scopesSupported' | 'keysState'> | undefined
  /** The keys with which targets check who calls. */
  jwks?: object | undefined
  targets: readonly Pick<Target, 'name' | 'state' | 'barrier'>[]
  /** The public MCP URL. */
  resource: string
  /** Where the MCP endpoint stands on this server. */
  path: string
  isDraining: () => boolean
  /** What the landing page says about assistants. */
  offers: MakeOffers
}

const KEY_SET = '/.well-known/jwks.json'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A route that needs no token. */
export interface PublicRoute {
  handle: Handler
  /** Health checks come from load balancers under any Host. */
  anyHost: boolean
}

/**
 * Lists all routes that need no token, by exact path. It is closed: whatever is not in it goes
 * through authentication.
 */
export function createPublicRoutes(options: PublicRoutesOptions): ReadonlyMap<string, PublicRoute> {
  const { descope, resource, path } = options
  // whoever asks here is nobody yet, and so not admitted to what does not admit everybody
  const targets = options.targets.filter(({ barrier }) => barrier === undefined)
  const suffixes = new Set(['', path, new URL(resource).pathname].filter((name) => name !== '/'))
  const routes = new Map<string, PublicRoute>()
  routes.set('/healthz', {
    handle: (_, response) => json(response, 200, { ok: true }),
    anyHost: true,
  })
  routes.set('/readyz', { handle: ready, anyHost: true })
  routes.set('/', { handle: landing, anyHost: false })
  if (descope === undefined) return routes
  const { jwks } = options
  if (jwks !== undefined) {
    const handle: Handler = (_, response) => json(response, 200, jwks, 'public, max-age=300')
    for (const place of keySetPlaces(resource, path)) routes.set(place, { handle, anyHost: false })
  }
  for (const suffix of suffixes) {
    const add = (document: Parameters<typeof wellKnownPath>[0], handle: Handler) =>
      routes.set(wellKnownPath(document, suffix), { handle, anyHost: false })
    add('oauth-protected-resource', metadata)
    for (const kind of DISCOVERY_KINDS) add(kind, mirror(kind))
  }
  return routes

  function metadata(_request: IncomingMessage, response: ServerResponse): void {
    if (descope === undefined) return
    const document = resourceMetadata({
      resource,
      issuer: descope.issuer(),
      scopes: descope.scopesSupported(),
      name: targets.map(({ name }) => name).join(', ') || undefined,
    })
    json(response, 200, document, 'public, max-age=300')
  }

  /** Descope's own document, for clients that look for it on the resource's origin. */
  function mirror(kind: DiscoveryKind): Handler {
    return async (_request, response) => {
      const document = await descope?.document(kind).catch(() => undefined)
      if (document !== undefined) return json(response, 200, document, 'public, max-age=300')
      json(response, 503, { error: 'The authorization server does not answer now' })
    }
  }

  function ready(_request: IncomingMessage, response: ServerResponse): void {
    const keys = descope?.keysState() ?? 'ok'
    const isReady = keys !== 'missing' && !options.isDraining()
    const states = Object.fromEntries(targets.map(({ name, state }) => [name, state]))
    json(response, isReady ? 200 : 503, { ready: isReady, keys, targets: states })
  }

  function landing(_request: IncomingMessage, response: ServerResponse): void {
    const page = renderLanding({
      resource,
      targets: targets.map(({ name }) => name),
      offers: options.offers(resource),
      signsIn: descope !== undefined,
    })
    response.writeHead(200, { ...page.headers, 'content-length': Buffer.byteLength(page.html) })
    response.end(page.html)
  }
}

/** At the origin, and below the public URL's own path, which what stands before us may not take away. */
function keySetPlaces(resource: string, path: string): ReadonlySet<string> {
  const base = new URL(identityIssuer(resource, path)).pathname.replace(/\/$/, '')
  return new Set([KEY_SET, `${base}${KEY_SET}`])
}

function json(
  response: ServerResponse,
  status: number,
  document: object,
  cacheControl = 'no-store',
): void {
  const body = JSON.stringify(document)
  const headers = [
    ...OPEN_TO_ALL,
    'content-type',
    'application/json',
    'cache-control',
    cacheControl,
  ]
  if (status === 503) headers.push('retry-after', '5')
  response.writeHead(status, [...headers, 'content-length', String(Buffer.byteLength(body))])
  response.end(body)
}
