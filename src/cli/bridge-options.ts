import { type Command, InvalidArgumentError, Option } from 'commander'
import { ProxyError } from '../util/errors.js'
import { LOG_LEVELS, type LogLevel } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { splitOnce } from '../util/text.js'
import { addNetworkOptions, gather, type NetworkFlags } from './network-options.js'
import { addSignInOptions, type SignInFlags } from './sign-in-options.js'

export const TRANSPORTS = ['auto', 'http', 'sse'] as const
export type Transport = (typeof TRANSPORTS)[number]
export const PROTOCOLS = ['auto', 'legacy', '2026-07-28'] as const

/** Flags of the bridge. */
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

const LONGEST_WAIT_S = 3_600

/** Adds the flags of the bridge. */
export function addBridgeOptions(command: Command): Command {
  return addNetworkOptions(addSignInOptions(command))
    .addOption(
      new Option('--header <header>', 'Header for the target, "Name: value"; repeatable.')
        .argParser(gather)
        .default([], 'none'),
    )
    .addOption(
      new Option('--transport <kind>', 'How the target speaks MCP.')
        .choices(TRANSPORTS)
        .default('auto'),
    )
    .addOption(
      new Option('--protocol <version>', 'Which versions of MCP to use with the target.')
        .choices(PROTOCOLS)
        .default('auto'),
    )
    .addOption(new Option('--log-level <level>', 'How much to say.').choices(LOG_LEVELS))
    .option('--log-file <file>', 'Write the log there too, at most 5 files of 1 MB.')
    .option('--login-wait <seconds>', 'How long a call waits for a sign-in.', parseWait, 25)
    .option('--wait-for-login', 'Answer nothing before somebody signed in.', false)
}

function parseWait(text: string): number {
  const seconds = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : -1
  if (seconds >= 0 && seconds <= LONGEST_WAIT_S) return seconds
  throw new InvalidArgumentError(`Expected a number of seconds up to ${LONGEST_WAIT_S}.`)
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
