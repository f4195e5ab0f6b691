import type { ProtectedResource } from '../auth/oauth/discover.js'
import type { HttpDeps } from '../auth/oauth/http.js'
import { type BearerChallenge, readBearerChallenge } from '../auth/oauth/parse-challenge.js'
import type { AuthorizationServer } from '../auth/oauth/server-metadata.js'
import { resourceMetadataUrl } from '../auth/verify/resource-metadata.js'
import { readAnswer } from '../upstream/answer-reader.js'
import type { Network } from '../upstream/http/network.js'
import { ProxyError } from '../util/errors.js'
import { isObject, type JsonObject, stringsMember, tryParseJson } from '../util/json.js'
import type { Clock } from '../util/runtime.js'
import { answerOf, createHttpClient, createSseClient, type McpClient, resultOf } from './client.js'
import { type CheckSession, type Handshake, handshakeRefusal, openHandshake } from './handshake.js'

export interface ProbeOptions {
  clock: Clock
  network: Network
  /** The user trusts the network and allows plain http. */
  allowHttp?: boolean
  /** The HTTP proxy, if one is used. */
  proxy: URL | undefined
  /** Certificates of further authorities, PEM. */
  ca: readonly string[]
  url: URL
  access: CheckAccess
  timeoutMs: number
  /** Opens the bridge, to talk through it instead of directly with the target. */
  openBridge?: (() => Promise<McpClient>) | undefined
}

/** A result as it came, with the method that it answers. */
export interface SeenResult {
  readonly method: string
  readonly result: JsonObject
}

/** What the checks share about a target; each request is sent once. */
export interface Probe extends ProbeOptions {
  readonly deps: HttpDeps
  readonly client: McpClient
  /** The handshake without a credential. */
  anonymous(): Promise<Handshake>
  /** The challenge of its 401, if there is one. */
  challenge(): Promise<BearerChallenge | undefined>
  /** Whether it publishes protected resource metadata at the well-known path. */
  publishesMetadata(): Promise<boolean>
  /** Set by the checks of the metadata. */
  resource: ProtectedResource | undefined
  server: AuthorizationServer | undefined
  /** Returns the proof; `undefined` when a person must sign in first. */
  proof(): Promise<Proof | undefined>
  /** The proof, if a check has requested it already. */
  knownProof(): Promise<Proof | undefined>
  /** The handshake with our credential. */
  authorized(): Promise<Handshake>
  /** The handshake through the bridge if there is one, else with our credential. */
  handshake(): Promise<Handshake>
  /** @throws {ProxyError} `PROTOCOL_INVALID` when there is none. */
  session(): Promise<CheckSession>
  /** All results so far, for the check of the schemas. */
  readonly seen: SeenResult[]
  close(): Promise<void>
}

/** Creates the probe of a target; nothing is sent yet. */
export async function createCheckProbe(options: ProbeOptions): Promise<Probe> {
  const { clock, network, url, access, timeoutMs, openBridge } = options
  const upstream = await network.connect(url)
  const client = createHttpClient(clock, upstream, timeoutMs)
  const closing: (() => Promise<unknown>)[] = []
  const connectThrough = async (
    through: McpClient,
    headers: Readonly<Record<string, string>>,
    maySpeakSse: boolean,
  ) => {
    const openSse = maySpeakSse ? () => createSseClient(clock, network, url, timeoutMs) : undefined
    const handshake = await openHandshake({ client: through, headers, openSse })
    if (handshake.session !== undefined) closing.push(handshake.session.close)
    return handshake
  }
  const anonymous = once(() => connectThrough(client, access.plain, true))
  const challenge = once(async () => {
    return readBearerChallenge(handshakeRefusal(await anonymous())?.header('www-authenticate'))
  })
  let proved: Promise<Proof | undefined> | undefined
  const proof = () => {
    proved ??= challenge().then((found) => access.authenticate(found))
    return proved
  }
  const authorized = once(async () => {
    const open = await anonymous()
    const isRefused = handshakeRefusal(open) !== undefined
    if (!isRefused && !isGiven(access)) return open
    if (!isRefused && open.discover?.kind === 'failed') return open
    const first = await proof()
    if (first === undefined) throw nobodySignedIn(access.lacks)
    const handshake = await connectThrough(client, { ...access.plain, ...first.headers }, true)
    if (handshakeRefusal(handshake) === undefined) return handshake
    const better = await access.again(first, await challenge())
    if (better === undefined) return handshake
    proved = Promise.resolve(better)
    return connectThrough(client, { ...access.plain, ...better.headers }, true)
  })
  const handshake = once(async () => {
    if (openBridge === undefined) return await authorized()
    const bridge = await openBridge()
    closing.push(bridge.close)
    return await connectThrough(bridge, {}, false)
  })
  const seen: SeenResult[] = []
  return {
    ...options,
    deps: { fetch: network.fetch, clock, allowHttp: options.allowHttp },
    client,
    anonymous,
    challenge,
    publishesMetadata: once(() => hasMetadata(options)),
    resource: undefined,
    server: undefined,
    proof,
    knownProof: async () => proved?.catch(() => undefined),
    authorized,
    handshake,
    async session() {
      const { session } = await handshake()
      if (session !== undefined) return session
      throw new ProxyError('PROTOCOL_INVALID', 'No MCP session with the target could be opened')
    },
    seen,
    async close() {
      await Promise.all(closing.map((end) => end().catch(() => undefined)))
      await client.close()
    },
  }
}

/** The results of a handshake, for the check of the schemas. */
export function resultsOf({ discover, initialize, session }: Handshake): SeenResult[] {
  const found = [
    ['server/discover', session?.era === 'stateless' ? resultOf(discover) : undefined],
    ['initialize', resultOf(initialize)],
  ] as const
  return found.flatMap(([method, result]) => (result === undefined ? [] : [{ method, result }]))
}

function nobodySignedIn(lacks: string | undefined): ProxyError {
  const what = 'nobody is signed in, and this command starts no sign-in'
  if (lacks !== undefined) {
    return new ProxyError('SIGN_IN_REQUIRED', what, {
      hint: `For client credentials, ${lacks} is missing. To use a sign-in instead, run \`mcp-descope-proxy login <url>\`.`,
    })
  }
  return new ProxyError('SIGN_IN_REQUIRED', what, {
    hint: 'Run `mcp-descope-proxy login <url>`; in CI, set MCP_DESCOPE_CLIENT_ID and MCP_DESCOPE_CLIENT_SECRET, or MCP_DESCOPE_TOKEN.',
  })
}

async function hasMetadata({ clock, network, url, timeoutMs, access }: ProbeOptions) {
  const upstream = await network.connect(new URL(resourceMetadataUrl(url.href)))
  const plain = { accept: 'application/json', 'accept-encoding': 'identity' }
  const headers = Object.entries({ ...access.plain, ...plain }).flat()
  const request = { method: 'GET' as const, headers }
  const exchange = await readAnswer({ clock, upstream }, request, undefined, timeoutMs)
  await upstream.close()
  const answer = answerOf(exchange)
  const document = answer?.status === 200 ? tryParseJson(answer.text) : undefined
  return isObject(document) && stringsMember(document, 'authorization_servers').length > 0
}

function once<T>(task: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => {
    running ??= task()
    return running
  }
}

/** The proof of identity that a request carries. */
export interface Proof {
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  /** The access token, if the credential is one. */
  readonly token: string | undefined
}

/** How to authenticate at the target, as far as it is known in advance. */
export interface CheckAccess {
  /** For people: `client credentials`, `TARGET_TOKEN`, `stored sign-in`. */
  readonly label: string
  /**
   * - `static`: a credential of the target's own, for which it needs no metadata
   * - `token`: an access token that was given
   * - `client`: client credentials, at the authorization server that the target names
   * - `stored`: the stored sign-in, if any
   */
  readonly kind: 'static' | 'token' | 'client' | 'stored'
  /** Headers of every request, even of those without a credential. */
  readonly plain: Readonly<Record<string, string>>
  /** The OAuth client is registered already. */
  readonly hasClient: boolean
  /** What client credentials would need besides what is set. */
  readonly lacks?: string | undefined
  /**
   * Returns the proof; `undefined` when a person must sign in first.
   *
   * @throws {ProxyError} when it cannot be obtained.
   */
  authenticate(challenge: BearerChallenge | undefined): Promise<Proof | undefined>
  /** Returns another proof after one was refused, if there is another. */
  again(proof: Proof, challenge: BearerChallenge | undefined): Promise<Proof | undefined>
}

/** Tells whether a credential was given for this check, rather than a stored sign-in. */
export function isGiven({ kind }: CheckAccess): boolean {
  return kind !== 'stored'
}
