import { bindingOf, type SignInTarget, type TokenRecord } from '../../auth/tokens/token-store.js'
import type { EnsureRequest, SignInDeps } from '../../sign-in/flow.js'
import { createSignIn } from '../../sign-in/sign-in.js'
import type { Network } from '../../upstream/http/network.js'
import { ProxyError } from '../../util/errors.js'
import { printable } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import { findSignInTarget, placesOfSignIn, requirePrivacy } from '../access/find-target.js'
import { createSignInPrinter } from '../access/sign-in-text.js'
import { openStores, type SignInStores, storedSource } from '../access/token-sources.js'
import type { LoginFlags } from '../inputs.js'
import { openNetwork } from '../network.js'
import { checkStoredSignIn, explainGuess, refusalOfAccount } from './check-sign-in.js'
import { renderIdentity, reportIdentity } from './identity-report.js'
import { pastedLines, readToken } from './sign-in-input.js'

const TIMEOUT_MS = 5 * 60_000

const DEVICE_RENEWALS = 3

/** Everything that one run of `login` needs. */
interface Login {
  readonly runtime: Runtime
  readonly network: Network
  readonly stores: SignInStores
  readonly target: SignInTarget
  readonly deps: SignInDeps
  readonly flags: LoginFlags
  readonly signal: AbortSignal
}

/** Runs `login`: checks the stored sign-in at the target, signs the user in if needed, and prints who is signed in. */
export async function runLogin(
  given: Runtime,
  argument: string | undefined,
  flags: LoginFlags,
): Promise<void> {
  const network = openNetwork(given, flags)
  const runtime: Runtime = { ...given, fetch: network.fetch }
  const stores = openStores(runtime, flags.store)
  if (flags.paste !== undefined) {
    const record = await finishPending(runtime, stores, argument, flags, flags.paste)
    return report(runtime, stores, record, flags, 'Signed in')
  }
  const target = await findSignInTarget(runtime, argument, flags)
  requirePrivacy(placesOfSignIn(target), flags.allowHttp)
  const stop = new AbortController()
  const stopSignals = runtime.onSignal(() => stop.abort())
  const deps = depsOf(runtime, stores, target, flags)
  const login = { runtime, network, stores, target, deps, flags, signal: stop.signal }
  try {
    const before = await stores.store.load(bindingOf(target))
    const { record, isKept, isWelcome } = await signIn(login)
    if (record === undefined) return reportOpen(login)
    const isOld = isKept || before?.accessToken === record.accessToken
    await report(runtime, stores, record, flags, isOld ? 'Already signed in' : 'Signed in')
    if (!isWelcome) await requireAdmission(login, record)
  } finally {
    stopSignals()
  }
}

/** Finishes the pending sign-in with the URL at which the browser ended. */
async function finishPending(
  runtime: Runtime,
  stores: SignInStores,
  argument: string | undefined,
  flags: LoginFlags,
  pasted: string,
): Promise<TokenRecord> {
  const { finishPasted } = await import('../../sign-in/finish-elsewhere.js')
  const secret = runtime.env['MCP_DESCOPE_CLIENT_SECRET'] || undefined
  const named =
    argument === undefined ? undefined : await findSignInTarget(runtime, argument, flags)
  return await finishPasted({ runtime, ...stores, named, secret }, pasted)
}

function depsOf(
  runtime: Runtime,
  stores: SignInStores,
  target: SignInTarget,
  flags: LoginFlags,
): SignInDeps {
  const { io } = runtime
  return {
    runtime,
    target,
    ...stores,
    options: {
      method: flags.login,
      openBrowser: flags.browser,
      callbackHost: flags.callbackHost,
      callbackPort: flags.callbackPort,
      timeoutMs: TIMEOUT_MS,
      deviceRenewals: io.errIsTty ? DEVICE_RENEWALS : 0,
      returnTo: () => 'your terminal',
      onPaste: (listener) => pastedLines(io.stdin, listener),
    },
  }
}

interface Outcome {
  /** `undefined` when no sign-in is needed. */
  readonly record: TokenRecord | undefined
  /** It was stored before, though its token may have been refreshed. */
  readonly isKept?: boolean
  /** The target accepted it just now. */
  readonly isWelcome?: boolean
}

async function signIn(login: Login): Promise<Outcome> {
  const { runtime, deps, flags } = login
  if (flags.withToken) return { record: await readToken(runtime, deps) }
  if (runtime.env['MCP_DESCOPE_TOKEN']) {
    throw new ProxyError('USAGE', 'MCP_DESCOPE_TOKEN is set, so a sign-in would not be used', {
      hint: 'Remove MCP_DESCOPE_TOKEN first.',
    })
  }
  return await signInIfNeeded(login)
}

/** Keeps the stored sign-in if the target accepts it, else starts a new one. */
async function signInIfNeeded(login: Login): Promise<Outcome> {
  const { runtime, network, stores, target, deps, flags, signal } = login
  const { grant, name } = target
  const signInFlow = createSignIn(deps)
  let isShown = false
  const stopWatching = signInFlow.onChange(({ phase }) => {
    isShown ||= phase === 'waiting'
  })
  const stopPrinting = signInFlow.onChange(createSignInPrinter(runtime, name))
  const force = flags.force ?? false
  const ensure = async (need: Pick<EnsureRequest, 'challenge' | 'refused'>) => ({
    record: await signInFlow.ensure({ interactive: 'requested', force, signal, ...need }),
  })
  try {
    if (grant.kind !== 'server') return await ensure({})
    const source = force
      ? undefined
      : storedSource(runtime, stores, bindingOf(target), target.client)
    const options = { runtime, network, name, url: grant.url, source }
    const check = await checkStoredSignIn(options)
    if (check.next === 'nothing') return { record: undefined }
    if (check.next === 'keep') {
      const isWelcome = check.doubt === undefined
      return { record: await keepSignIn(login, check.doubt), isKept: true, isWelcome }
    }
    try {
      return await ensure(check.need)
    } catch (error) {
      throw isShown ? error : await explainGuess(options, check.need, error)
    }
  } finally {
    stopPrinting()
    stopWatching()
  }
}

/**
 * Checks that the target admits the account, which a sign-in does not tell.
 *
 * @throws {ProxyError} When it does not.
 */
async function requireAdmission(login: Login, { accessToken }: TokenRecord): Promise<void> {
  const { runtime, network, target, flags } = login
  const { grant, name } = target
  if (grant.kind !== 'server' || flags.withToken) return
  const options = { runtime, network, name, url: grant.url, source: undefined }
  const how = await refusalOfAccount(options, accessToken)
  if (how === undefined) return
  throw new ProxyError('CREDENTIAL_REFUSED', `${name} does not admit this account (${how})`, {
    hint: 'Ask its operator for access, or sign in with another account: `login --force`.',
  })
}

async function keepSignIn({ runtime, stores, target }: Login, doubt: string | undefined) {
  const { store } = stores
  const binding = bindingOf(target)
  if (doubt !== undefined) {
    runtime.io.err(
      `The sign-in is kept, though it could not be checked at ${target.name}: ${doubt}\n`,
    )
  }
  const record = await store.exclusively(binding, async () => {
    const found = await store.load(binding)
    if (!found?.refused || doubt !== undefined) return found
    await store.save({ ...found, refused: undefined })
    return { ...found, refused: undefined }
  })
  if (record !== undefined) return record
  throw new ProxyError('SIGN_IN_REQUIRED', `Nobody is signed in to ${target.name} any more`, {
    hint: 'Run the command again.',
  })
}

function reportOpen({ runtime, target, flags }: Login): void {
  const { io } = runtime
  io.err(
    `${target.name} is open to everybody and names no authorization server: no sign-in needed.\n`,
  )
  if (flags.json) io.out(`${JSON.stringify({ target: target.name, signIn: 'not needed' })}\n`)
}

async function report(
  { io, clock }: Runtime,
  { store }: SignInStores,
  record: TokenRecord,
  flags: LoginFlags,
  what: string,
): Promise<void> {
  const identity = reportIdentity(record, await store.place(), clock.now())
  if (flags.json) return io.out(`${JSON.stringify(identity)}\n`)
  io.err(`${what} as ${printable(identity.account ?? 'unknown')}\n`)
  io.out(renderIdentity(identity, clock.now()))
}
