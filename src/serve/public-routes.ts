import type { IncomingMessage, ServerResponse } from 'node:http'
import { DISCOVERY_KINDS, type DiscoveryKind } from '../auth/descope/discovery.js'
import type { Descope } from '../auth/resource-server.js'
import { resourceMetadata } from '../auth/verify/resource-metadata.js'
import type { Target } from '../gateway/target.js'
import { wellKnownPath } from '../util/url-text.js'
import { worstKeysState } from './endpoints.js'
import { type MakeOffers, renderLanding } from './landing-page.js'
import { OPEN_TO_ALL } from './origins.js'

export interface PublicRoutesOptions {
  endpoints: readonly PublicEndpoint[]
  /** The keys with which targets check who calls. */
  jwks?: object | undefined
  targets: readonly Pick<Target, 'name' | 'state' | 'barrier'>[]
  /** The public URL of the front page. */
  frontUrl: string
  isDraining: () => boolean
  /** What the landing page says about assistants. */
  offers: MakeOffers
}

/** What everybody may know of an endpoint. */
export interface PublicEndpoint {
  /** The target that stands alone there; `undefined` for all of them. */
  target: string | undefined
  /** Where it stands on this server. */
  path: string
  /** Its public URL. */
  resource: string
  /** `undefined` without authentication: then there is no metadata. */
  descope:
    | Pick<Descope, 'issuer' | 'document' | 'scopesSupported' | 'keysState' | 'dpop'>
    | undefined
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
  const { endpoints, frontUrl, jwks } = options
  // the caller is anonymous here, and so is not admitted to what does not admit everybody
  const targets = options.targets.filter(({ barrier }) => barrier === undefined)
  const isNamed = (target: string | undefined) => targets.some(({ name }) => name === target)
  const paths = new Set(endpoints.map(({ path }) => path))
  const alone = endpoints.filter(({ target }) => isNamed(target))
  const main = endpoints.find(({ target }) => target === undefined)
  const routes = new Map<string, PublicRoute>()
  const add = (path: string, handle: Handler, anyHost = false) =>
    routes.set(path, { handle, anyHost })
  add('/healthz', (_, response) => json(response, 200, { ok: true }), true)
  add('/readyz', ready, true)
  add('/', front(main ?? (endpoints.length === 1 ? alone[0] : undefined)))
  for (const endpoint of alone) {
    const page = `/${endpoint.target}`
    if (paths.has(page)) continue
    for (const place of [page, `${page}/`]) add(place, front(endpoint, true))
  }
  if (endpoints.every(({ descope }) => descope === undefined)) return routes
  if (jwks !== undefined) {
    const handle: Handler = (_, response) => json(response, 200, jwks, 'public, max-age=300')
    for (const place of keySetPlaces(frontUrl)) add(place, handle)
  }
  // what has no path of its own in it comes last, and only where it is the same for all
  for (const endpoint of endpoints.toReversed()) addDocuments(endpoint)
  return routes

  function addDocuments({ descope, resource, path, target }: PublicEndpoint): void {
    if (descope === undefined) return
    const own = [path, new URL(resource).pathname].filter((name) => name !== '/')
    const isRoot = target === undefined || (endpoints.length === 1 && isNamed(target))
    const places = (suffixes: readonly string[]) => (isRoot ? ['', ...suffixes] : suffixes)
    for (const place of places(own)) {
      add(wellKnownPath('oauth-protected-resource', place), metadata(resource, descope, target))
      for (const kind of DISCOVERY_KINDS) add(wellKnownPath(kind, place), mirror(descope, kind))
    }
  }

  function metadata(
    resource: string,
    descope: NonNullable<PublicEndpoint['descope']>,
    target: string | undefined,
  ): Handler {
    // clients need the metadata of each endpoint before anybody is known
    const names = target === undefined ? targets.map((each) => each.name) : [target]
    const name = names.filter(isNamed).join(', ') || undefined
    return (_request, response) => {
      const scopes = descope.scopesSupported()
      const { dpop } = descope
      const document = resourceMetadata({ resource, issuer: descope.issuer(), scopes, name, dpop })
      json(response, 200, document, 'public, max-age=300')
    }
  }

  /** Descope's own document, for clients that look for it on the resource's origin. */
  function mirror(descope: NonNullable<PublicEndpoint['descope']>, kind: DiscoveryKind): Handler {
    return async (_request, response) => {
      const document = await descope.document(kind).catch(() => undefined)
      if (document !== undefined) return json(response, 200, document, 'public, max-age=300')
      json(response, 503, { error: 'The authorization server does not answer now' })
    }
  }

  /** One endpoint whose keys are missing leaves the others at work. */
  function ready(_request: IncomingMessage, response: ServerResponse): void {
    const states = endpoints.map(({ descope }) => descope?.keysState() ?? 'ok')
    const isReady = states.some((state) => state !== 'missing') && !options.isDraining()
    const document = {
      ready: isReady,
      keys: worstKeysState(endpoints),
      targets: Object.fromEntries(targets.map(({ name, state }) => [name, state])),
      ...(alone.length > 0 && {
        endpoints: Object.fromEntries(
          [main, ...alone].flatMap((it) =>
            it ? [[it.path, it.descope?.keysState() ?? 'ok']] : [],
          ),
        ),
      }),
    }
    json(response, isReady ? 200 : 503, document)
  }

  /** The page of an endpoint; without one, of all that there are. */
  function front(endpoint: PublicEndpoint | undefined, isOwn = false): Handler {
    return (_request, response) => {
      const page = renderLanding({
        front: frontUrl,
        resource: endpoint?.resource,
        title: isOwn ? endpoint?.target : undefined,
        targets: isOwn ? [endpoint?.target ?? ''] : targets.map(({ name }) => name),
        offers: endpoint === undefined ? [] : options.offers(endpoint.resource, endpoint.target),
        endpoints: isOwn
          ? []
          : alone.map(({ target = '', resource, path }) => {
              const own = `${frontUrl}/${target}`
              return { target, resource, page: paths.has(`/${target}`) ? undefined : own, path }
            }),
        signsIn: endpoints.some(({ descope }) => descope !== undefined),
      })
      response.writeHead(200, { ...page.headers, 'content-length': Buffer.byteLength(page.html) })
      response.end(page.html)
    }
  }
}

/** At the origin, and below the public URL's own path, which what stands before us may not take away. */
function keySetPlaces(frontUrl: string): ReadonlySet<string> {
  const base = new URL(frontUrl).pathname.replace(/\/$/, '')
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
