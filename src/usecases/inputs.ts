import type { StoreChoice } from '../auth/tokens/store/data-key.js'
import type { WantedCall } from '../diagnose/checks/call.js'
import type { CallbackHost, LoginMethod } from '../sign-in/options.js'
import { ProxyError } from '../util/errors.js'
import type { LogLevel } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { splitOnce } from '../util/text.js'
import type { TargetFlags } from './access/find-target.js'
import type { NetworkFlags } from './network.js'

export const REPORTERS = ['default', 'json', 'junit', 'github'] as const

export const TRANSPORTS = ['auto', 'http', 'sse'] as const

export type Transport = (typeof TRANSPORTS)[number]

export const PROTOCOLS = ['auto', 'legacy', '2026-07-28'] as const

export interface BridgeFlags extends SignInFlags, NetworkFlags {
  header: readonly string[]
  transport: Transport
  protocol: (typeof PROTOCOLS)[number]
  logLevel?: LogLevel
  logFile?: string
  /** Seconds. */
  loginWait: number
  waitForLogin: boolean
}

/**
 * Reads `Name: value`, in which `${VARIABLE}` stands for a variable's value.
 *
 * @throws {ProxyError} `USAGE` when it is no header, or a variable is not set.
 */
export function parseHeaders(texts: readonly string[], env: Runtime['env']): [string, string][] {
  return texts.map((text) => {
    const [before, after = ''] = splitOnce(text, ':')
    const name = before.trim()
    const value = after.trim().replace(/\$\{([A-Za-z_]\w*)\}/g, (_all, variable: string) => {
      const found = env[variable]
      if (found) return found
      throw new ProxyError('USAGE', `The header ${JSON.stringify(name)} needs ${variable}`, {
        hint: `Set the environment variable ${variable}.`,
      })
    })
    if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && /^[!-~]([ -~]*[!-~])?$/.test(value)) {
      return [name.toLowerCase(), value]
    }
    throw new ProxyError('USAGE', 'A --header is not "Name: value"', {
      hint: 'Write for example `--header "X-Tenant: acme"`.',
    })
  })
}

/** One reporter; without a file it writes to stdout. */
export interface WantedReporter {
  readonly kind: (typeof REPORTERS)[number]
  readonly file: string | undefined
}

export interface CheckFlags extends StoreFlags, NetworkFlags {
  header: readonly string[]
  /** Send secrets even to URLs that only a file of the working directory names. */
  trust: boolean
  reporter: readonly WantedReporter[]
  json?: boolean
  call: readonly WantedCall[]
  only: readonly string[]
  skip: readonly string[]
  /** Seconds. */
  wait: number
  /** Seconds. */
  timeout: number
  /** Milliseconds. */
  budget?: number
  baseline?: string
  strict: boolean
  viaStdio: boolean
}

/** The defaults of the flags of `test-target`. */
export const NO_CHECK_FLAGS = {
  reporter: [],
  call: [],
  only: [],
  skip: [],
  wait: 0,
  strict: false,
  viaStdio: false,
} as const

/** Flags of every command that uses tokens of a sign-in. */
export interface StoreFlags extends TargetFlags {
  store: StoreChoice
}

/** Flags of every command that can sign in. */
export interface SignInFlags extends StoreFlags {
  login: LoginMethod
  browser: boolean
  callbackHost: CallbackHost
  callbackPort?: number
}

export interface AddFlags {
  name?: string
  http?: boolean
  write?: boolean
  dryRun?: boolean
  force?: boolean
  absolute?: boolean
  project?: boolean
  env: readonly string[]
  config?: string
  profile?: string
  json?: boolean
}

export interface InspectFlags extends CheckFlags {
  trace: boolean
  curl: boolean
}

export interface LoginFlags extends SignInFlags, NetworkFlags {
  force?: boolean
  paste?: string
  withToken?: boolean
  printRedirectUris?: boolean
  json?: boolean
}
