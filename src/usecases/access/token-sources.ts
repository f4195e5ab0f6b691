import { createHash } from 'node:crypto'
import type { BearerChallenge } from '../../auth/oauth/parse-challenge.js'
import type { ClientStore } from '../../auth/oauth/registration.js'
import type { StoreChoice, StoreDeps } from '../../auth/tokens/store/data-key.js'
import { createClientStore, createTokenStore } from '../../auth/tokens/store/file-store.js'
import { createStoredTokenSource } from '../../auth/tokens/stored-token-source.js'
import type { TokenSource } from '../../auth/tokens/token-source.js'
import {
  bindingOf,
  type SignInTarget,
  storeKey,
  type TokenBinding,
  type TokenRecord,
  type TokenStore,
} from '../../auth/tokens/token-store.js'
import { readUnverifiedClaims } from '../../auth/verify/claims.js'
import type { Viewer } from '../../bridge/offline.js'
import { dataFolder } from '../../config/sources.js'
import { PassingHandler, type Upstream, type UpstreamHandler } from '../../upstream/upstream.js'
import { requireFolder } from '../../util/private-files.js'
import type { Runtime } from '../../util/runtime.js'
import type { StoreFlags } from '../inputs.js'
import { findSignInTarget } from './find-target.js'

export type PartsRuntime = Pick<
  Runtime,
  'allowHttp' | 'clock' | 'env' | 'fetch' | 'homeDir' | 'platform' | 'system'
>

/** Where this user's tokens and registrations are. */
export interface SignInStores {
  readonly folder: string
  readonly store: TokenStore
  readonly clients: ClientStore
}

/**
 * Opens the stores. Nothing is read yet, and nothing is created before the first write.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when the path cannot be a folder.
 */
export function openStores(runtime: PartsRuntime, choice: StoreChoice = 'auto'): SignInStores {
  const { clock, system, platform } = runtime
  const folder = dataFolder(runtime)
  requireFolder(folder)
  const deps: StoreDeps = { clock, system, platform, folder, choice }
  return { folder, store: createTokenStore(deps), clients: createClientStore(deps) }
}

/** Creates the source of a stored sign-in's tokens. The code for refreshing is loaded on demand. */
export function storedSource(
  runtime: PartsRuntime,
  { folder, store, clients }: SignInStores,
  binding: TokenBinding,
  configured: SignInTarget['client'],
): TokenSource {
  const { clock, fetch, allowHttp } = runtime
  return createStoredTokenSource({
    clock,
    store,
    binding,
    async refresh(record) {
      const { refreshRecord } = await import('../../auth/oauth/refresh.js')
      return refreshRecord({ clock, fetch, allowHttp, configured, clients }, record)
    },
    async isStillNamed(record, challenge) {
      if (binding.issuer !== undefined) return true // the issuer is configured, not named by the target
      const { isStillNamed } = await import('../../auth/tokens/still-named.js')
      return isStillNamed({ clock, fetch }, new URL(binding.url), record, challenge)
    },
    onAccepted() {
      const key = storeKey(binding)
      void import('../../sign-in/browser.js')
        .then(({ createTabQuota }) => createTabQuota(folder, key, clock.now).prove())
        .catch(() => undefined)
    },
  })
}

/** Returns who is signed in to each target, by its name, as far as the tokens say it. */
export async function identitiesOf(
  { store }: Pick<SignInStores, 'store'>,
  signIns: Iterable<SignInTarget>,
): Promise<Map<string, string | undefined>> {
  const identities = new Map<string, string | undefined>()
  for (const signIn of signIns) {
    const record = await store.load(bindingOf(signIn))
    const who =
      record && JSON.stringify([record.issuer, readUnverifiedClaims(record.accessToken)['sub']])
    identities.set(signIn.name, who)
  }
  return identities
}

/**
 * Tells for whom a target is asked, so that nobody is shown what somebody else saw.
 *
 * @param fixed A token, or a header with one, that takes the place of a sign-in.
 */
export async function viewerOf(
  { store }: Pick<SignInStores, 'store'>,
  signIns: readonly SignInTarget[],
  fixed: string | undefined,
): Promise<Viewer> {
  if (fixed !== undefined) {
    const { iss, sub } = readUnverifiedClaims(fixed.replace(/^\w+ +/, ''))
    return { who: digest(typeof sub === 'string' ? [iss, sub] : [fixed]), signIns: [] }
  }
  const people = []
  for (const binding of signIns.map(bindingOf)) people.push(personOf(await store.load(binding)))
  return { who: digest(people), signIns: signIns.map((signIn) => storeKey(bindingOf(signIn))) }
}

/** A token that names nobody stands for itself. */
function personOf(record: TokenRecord | undefined): unknown {
  if (record === undefined) return null
  const { issuer, accessToken, refreshToken = accessToken } = record
  const { sub } = readUnverifiedClaims(accessToken)
  return typeof sub === 'string' ? { issuer, sub } : { issuer, refreshToken }
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 32)
}

/**
 * Chooses where the tokens of a target come from: `MCP_DESCOPE_TOKEN`; client credentials when nobody
 * can sign in and the client has a secret; else a sign-in.
 *
 * @param unattended Nobody can sign in here.
 * @param challenge The target's challenge to a request without a token, if it is known; `awaited` when
 *   it will be passed to `get`.
 */
export async function chooseTokenSource(
  runtime: PartsRuntime,
  stores: SignInStores,
  target: SignInTarget,
  unattended: boolean,
  challenge?: BearerChallenge | 'awaited',
): Promise<{ source: TokenSource; kind: 'static' | 'client' | 'stored' }> {
  const token = runtime.env['MCP_DESCOPE_TOKEN']
  if (token) {
    const { staticTokenSource } = await import('../../auth/tokens/token-source.js')
    return { source: staticTokenSource(token), kind: 'static' }
  }
  const { id, secret } = target.client
  const source = storedSource(runtime, stores, bindingOf(target), target.client)
  const stored = { source, kind: 'stored' } as const
  if (!unattended || id === undefined || secret === undefined) return stored
  if ((await stores.store.load(bindingOf(target))) !== undefined) return stored
  const { createClientCredentialsSource } = await import(
    '../../auth/tokens/client-credentials-source.js'
  )
  const { grant, scope } = target
  const deps = { ...runtime, target: grant, client: { id, secret }, scope, challenge }
  return { source: createClientCredentialsSource(deps), kind: 'client' }
}

/**
 * Finds the stored sign-ins of a target, whatever client they were made with, or all of them.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` when the argument names nothing.
 */
export async function recordsOf(
  runtime: Runtime,
  argument: string | undefined,
  flags: StoreFlags,
): Promise<{ stores: SignInStores; records: TokenRecord[] }> {
  const stores = openStores(runtime, flags.store)
  const all = await stores.store.list()
  if (argument === undefined) {
    const { profile } = flags
    const isMeant = (record: TokenRecord) => !profile || record.binding.profile === profile
    return { stores, records: all.filter(isMeant) }
  }
  const target = await findSignInTarget(runtime, argument, flags)
  const { url, profile, clientId } = bindingOf(target)
  const isOfClient = (id: string | undefined) => flags.clientId === undefined || id === clientId
  const records = all.filter(({ binding: own }) => {
    return own.url === url && own.profile === profile && isOfClient(own.clientId)
  })
  return { stores, records }
}

/** Notifies a source of tokens when a target accepts one. */
export function withAcceptance(upstream: Upstream, source: TokenSource): Upstream {
  if (source.accepted === undefined) return upstream
  return {
    send(request, handler) {
      const at = request.headers.indexOf('authorization')
      const token = at < 0 ? '' : (request.headers[at + 1] ?? '').replace(/^(?:Bearer|DPoP) /, '')
      upstream.send(request, new AcceptanceHandler(handler, () => source.accepted?.(token)))
    },
    close: () => upstream.close(),
  }
}

class AcceptanceHandler extends PassingHandler {
  readonly #onAccepted: () => void

  constructor(handler: UpstreamHandler, onAccepted: () => void) {
    super(handler)
    this.#onAccepted = onAccepted
  }

  override onResponseStart(...args: Parameters<PassingHandler['onResponseStart']>): void {
    const [, status] = args
    if (status >= 200 && status < 300) this.#onAccepted()
    super.onResponseStart(...args)
  }
}
