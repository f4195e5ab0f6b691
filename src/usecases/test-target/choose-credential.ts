import type { CredentialHeaders } from '../../auth/credentials/credential.js'
import type { ConfiguredClient } from '../../auth/oauth/client.js'
import { accessHeaders } from '../../auth/oauth/proof-keys.js'
import type { CheckAccess, Proof } from '../../diagnose/probe.js'
import { ProxyError } from '../../util/errors.js'
import { isReadableOnTheWay } from '../../util/private-addresses.js'
import { isSecretName } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import { type BridgeTarget, sentInTheClear } from '../access/find-target.js'
import { chooseTokenSource, openStores } from '../access/token-sources.js'
import type { StoreFlags } from '../inputs.js'

type Access = Omit<CheckAccess, 'plain'>

/** A target to check, before anything is sent. */
export interface CheckedTarget {
  readonly target: BridgeTarget
  readonly url: URL
  /** Of `--header`. */
  readonly headers: readonly (readonly [string, string])[]
}

/**
 * Chooses how to authenticate at a target: by `--header`, by the configured credential, by
 * `TARGET_TOKEN`, else by an access token (from the environment, of the client itself, or of a stored
 * sign-in). Never starts a sign-in.
 *
 * @param options.asServe Only with what is configured, as `serve` does: no user's token ever goes to
 *   a target.
 * @param options.secrets Gets each credential that is used, so that it is never printed.
 */
export async function openAccess(
  runtime: Runtime,
  checked: CheckedTarget,
  flags: Pick<StoreFlags, 'store'>,
  { asServe = false, secrets }: { asServe?: boolean; secrets: (string | undefined)[] },
): Promise<CheckAccess> {
  const access = await chooseAccess(runtime, checked, flags, asServe)
  const plain = Object.fromEntries(checked.headers.filter(([name]) => !isSecretName(name)))
  const noted = (proof: Proof | undefined) => {
    secrets.push(proof?.token, ...Object.values(proof?.headers ?? {}))
    return proof
  }
  // `serve` only warns of plain http, at its start
  const isReadable = !asServe && !runtime.allowHttp && isReadableOnTheWay(checked.url)
  if (isReadable && access.kind !== 'stored') throw sentInTheClear(checked.url)
  return {
    ...access,
    plain,
    async authenticate(challenge) {
      const proof = noted(await access.authenticate(challenge))
      if (isReadable && proof !== undefined) throw sentInTheClear(checked.url)
      return proof
    },
    again: async (proof, challenge) => noted(await access.again(proof, challenge)),
  }
}

async function chooseAccess(
  runtime: Runtime,
  checked: CheckedTarget,
  flags: Pick<StoreFlags, 'store'>,
  asServe: boolean,
): Promise<Access> {
  const { target, url, headers } = checked
  const secret = headers.filter(([name]) => isSecretName(name))
  if (secret.length > 0) {
    const label = `--header ${secret.map(([name]) => name).join(', ')}`
    return fixed(label, async () => Object.fromEntries(secret))
  }
  const credential = target.configured?.targets[0]?.credential
  if (credential !== undefined && credential.type !== 'none') {
    return configured(runtime, checked, flags)
  }
  if (asServe) return nobody(target.signIn.name)
  const token = tokenFor(url, runtime.env)
  if (target.configured === undefined && token !== undefined) {
    return fixed('TARGET_TOKEN', async () => bearer(token))
  }
  return signedIn(runtime, checked, flags)
}

/** `TARGET_TOKEN` is for the target of `TARGET_MCP_SERVER_URL`; without that, for the one named. */
export function tokenFor(url: URL, env: Runtime['env']): string | undefined {
  const token = env['TARGET_TOKEN']
  const place = env['TARGET_MCP_SERVER_URL']
  if (!token) return undefined
  if (!place) return token
  return URL.canParse(place) && new URL(place).href === url.href ? token : undefined
}

/** @param headers Returns what authenticates a request, and is the target's own. */
function fixed(label: string, headers: () => Promise<CredentialHeaders>): Access {
  return {
    label,
    kind: 'static',
    hasClient: true,
    authenticate: async () => ({ headers: await headers(), token: undefined }),
    again: async () => undefined,
  }
}

/** Access without any credential, as `serve` has it for such a target. */
function nobody(name: string): Access {
  return {
    label: 'none',
    kind: 'stored',
    hasClient: false,
    async authenticate() {
      const what = 'the target requires a credential, and none is configured'
      throw new ProxyError('CREDENTIAL_REFUSED', what, {
        hint: `Configure targets.${name}.credential: bearer, header, client-credentials, token-exchange or connection.`,
      })
    },
    again: async () => undefined,
  }
}

/** The target's own credential. Some kinds act for a user, who has to be signed in. */
async function configured(
  runtime: Runtime,
  { target: { signIn, configured: found } }: CheckedTarget,
  flags: Pick<StoreFlags, 'store'>,
): Promise<Access> {
  const [target] = found?.targets ?? []
  if (found === undefined || target === undefined) throw new Error('There is a configured target')
  const { type } = target.credential
  const isOwn = type !== 'token-exchange' && type !== 'connection'
  const { configuredAccess } = await import('../access/configured-access.js')
  const { createLogger } = await import('../../util/logger.js')
  const stores = openStores(runtime, flags.store)
  const { source } = await chooseTokenSource(runtime, stores, signIn, true)
  const { clock } = runtime
  const silent = { io: { err: () => {} }, level: 'error', format: 'text' } as const
  const logger = createLogger({ ...silent, clock, redact: (text) => text })
  const { loaded } = found
  const access = await configuredAccess({ runtime, logger, source, stores, signIn, loaded })
  const credential = access.credentialOf(target)
  const caller = async () =>
    isOwn ? { principal: undefined, accessToken: undefined } : await access.caller()
  return fixed(`the configured credential (${type})`, async () =>
    credential.headers(await caller()),
  )
}

const LABELS = {
  static: 'MCP_DESCOPE_TOKEN',
  client: 'client credentials',
  stored: 'stored sign-in',
} as const

const KINDS = { static: 'token', client: 'client', stored: 'stored' } as const

async function signedIn(
  runtime: Runtime,
  { target: { signIn } }: CheckedTarget,
  flags: Pick<StoreFlags, 'store'>,
): Promise<Access> {
  const stores = openStores(runtime, flags.store)
  let chosen = await chooseTokenSource(runtime, stores, signIn, true)
  const { kind } = chosen
  const prove = async (): Promise<Proof | undefined> => {
    const token = await chosen.source.get()
    return token === undefined ? undefined : { headers: accessHeaders(token), token }
  }
  return {
    label: LABELS[kind],
    kind: KINDS[kind],
    hasClient: signIn.client.id !== undefined,
    ...(kind === 'stored' && { lacks: missingHalf(signIn.client) }),
    async authenticate(challenge) {
      if (kind === 'client') {
        chosen = await chooseTokenSource(runtime, stores, signIn, true, challenge)
      }
      return prove()
    },
    async again({ token }, challenge) {
      if (token === undefined) return undefined
      const verdict = await chosen.source.refused(token, challenge)
      return verdict.next === 'retry' ? prove() : undefined
    },
  }
}

/** Names the other half of client credentials of which one is set. A public client has no secret. */
function missingHalf({ id, secret }: ConfiguredClient): string | undefined {
  if (id !== undefined && secret === undefined) return 'MCP_DESCOPE_CLIENT_SECRET'
  return id === undefined && secret !== undefined ? 'MCP_DESCOPE_CLIENT_ID' : undefined
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
