import type { SignInPort, SignInTarget } from '../../auth/tokens/token-store.js'
import type { SignInState, WaitingState } from '../../sign-in/flow.js'
import { createSignIn } from '../../sign-in/sign-in.js'
import { createColors } from '../../util/colors.js'
import type { Runtime } from '../../util/runtime.js'
import type { BridgeFlags } from '../inputs.js'
import type { SignInStores } from './token-sources.js'

/** Prints on stderr what the user has to do, each line once. */
export function createSignInPrinter(
  runtime: Pick<Runtime, 'io' | 'env'>,
  targetName: string,
  /** Whether stdin is read; that of a bridge belongs to its host. */
  readsInput = true,
): (state: SignInState) => void {
  const { io } = runtime
  const colors = createColors(runtime, 'err')
  const said = new Set<string>()
  const say = (line: string | undefined) => {
    if (line === undefined || said.has(line)) return
    said.add(line)
    io.err(`${printable(line)}\n`)
  }
  return (state) => {
    if (state.phase === 'preparing') say(`Signing in to ${colors.bold(targetName)}`)
    if (state.phase !== 'waiting') return
    say(state.note && `${colors.yellow('!')} ${state.note}`)
    if (state.method === 'device') printCode(state)
    else printUrl(state)
  }

  function printCode({ url, userCode = '', expiresAt, since }: WaitingState): void {
    say(`  1. On any device open   ${colors.cyan(url)}`)
    say(
      `  2. Enter the code       ${colors.bold(userCode)}   (good for ${formatDuration(expiresAt - since)})`,
    )
  }

  function printUrl({ url, tab, method }: WaitingState): void {
    say(`  Open this page if your browser does not:\n  ${colors.cyan(url)}`)
    if (method === 'paste') {
      say(
        readsInput
          ? '  Copy the address that the browser shows at the end, paste it here, and press Enter.'
          : '  Then run this in a terminal, with the address that the browser shows at the end:\n  mcp-descope-proxy login --paste "<url>"',
      )
    }
    if (tab === 'opened') say('  Waiting for you in the browser. Ctrl+C cancels.')
    if (tab === 'failed') say('  No browser could be started from here.')
    if (tab === 'withheld') {
      say('  No tab was opened: the last one was not used. `mcp-descope-proxy login` opens one.')
    }
  }
}

/** How long, for people: `45 s`, `3 min`, `2 h`, `30 days`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  if (seconds < 90) return `${seconds} s`
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`
  if (seconds < 48 * 3_600) return `${Math.round(seconds / 3_600)} h`
  return `${Math.round(seconds / 86_400)} days`
}

/** Removes control characters of foreign text; our own colours and line breaks stay. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
  return text.replace(/\u001b(?!\[\d{1,2}m)|[\u0000-\u0009\u000b-\u001a\u007f-\u009f]+/g, ' ')
}

const SIGN_IN_MS = 10 * 60_000

const DEVICE_RENEWALS = 2

/** Opens the sign-in of a target for the bridge, with instructions on stderr. */
export function openSignIn(
  runtime: Runtime,
  stores: SignInStores,
  target: SignInTarget,
  { login, browser, callbackHost, callbackPort }: BridgeFlags,
  returnTo: () => string | undefined,
): SignInPort {
  const signIn = createSignIn({
    runtime,
    target,
    ...stores,
    options: {
      ...{ method: login, openBrowser: browser, callbackHost, callbackPort, returnTo },
      timeoutMs: SIGN_IN_MS,
      deviceRenewals: DEVICE_RENEWALS,
    },
  })
  signIn.onChange(createSignInPrinter(runtime, target.name, false))
  return signIn
}
