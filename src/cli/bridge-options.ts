import { type Command, InvalidArgumentError, Option } from 'commander'
import { ProxyError } from '../util/errors.js'
import { LOG_LEVELS, type LogLevel } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { addNetworkOptions, gather, type NetworkFlags } from './network-options.js'
import { addSignInOptions, type SignInFlags } from './sign-in-options.js'

export const TRANSPORTS = ['auto', 'http', 'sse'] as const
export type Transport = (typeof TRANSPORTS)[number]

/** Flags of the bridge. */
export interface BridgeFlags extends SignInFlags, NetworkFlags {
  header: readonly string[]
  transport: Transport
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

/** By name of the flag: hosts pass arguments badly, and variables well. */
const VARIABLES: Readonly<Record<string, string>> = {
  '--callback-port': 'MCP_DESCOPE_CALLBACK_PORT',
  '--ca': 'MCP_DESCOPE_CA',
  '--header': 'MCP_DESCOPE_HEADER',
  '--ipv4': 'MCP_DESCOPE_IPV4',
  '--log-file': 'MCP_DESCOPE_LOG_FILE',
  '--log-level': 'MCP_DESCOPE_LOG_LEVEL',
  '--login': 'MCP_DESCOPE_LOGIN',
  '--login-wait': 'MCP_DESCOPE_LOGIN_WAIT',
  '--no-browser': 'MCP_DESCOPE_NO_BROWSER',
  '--no-proxy-env': 'MCP_DESCOPE_NO_PROXY_ENV',
  '--no-resource': 'MCP_DESCOPE_NO_RESOURCE',
  '--scope': 'MCP_DESCOPE_SCOPE',
  '--store': 'MCP_DESCOPE_STORE',
  '--transport': 'MCP_DESCOPE_TRANSPORT',
  '--wait-for-login': 'MCP_DESCOPE_WAIT_FOR_LOGIN',
}

/**
 * Adds what the environment says in place of flags. A variable for a flag that is repeatable holds
 * one value a line.
 *
 * @throws {ProxyError} `USAGE`
 */
export function readBridgeFlags(command: Command, env: Runtime['env']): BridgeFlags {
  const flags = { ...command.opts<BridgeFlags>() } as Record<string, unknown>
  for (const option of command.options) {
    const variable = VARIABLES[option.long ?? '']
    const text = variable && env[variable]
    const name = option.attributeName()
    if (!text || command.getOptionValueSource(name) === 'cli') continue
    flags[name] = readVariable(option, text, variable)
  }
  return flags as unknown as BridgeFlags
}

function readVariable(option: Option, text: string, variable: string): unknown {
  const wrong = (expected: string) =>
    new ProxyError('USAGE', `${variable} is ${JSON.stringify(text)}`, {
      hint: `Write ${expected}.`,
    })
  if (option.isBoolean() || option.negate) {
    if (!/^(true|false|1|0)$/.test(text)) throw wrong('true or false')
    return (text === 'true' || text === '1') !== option.negate
  }
  if (option.argChoices !== undefined && !option.argChoices.includes(text)) {
    throw wrong(`one of ${option.argChoices.join(', ')}`)
  }
  if (Array.isArray(option.defaultValue)) {
    return text.split(/\r?\n/).filter((line) => line.trim() !== '')
  }
  try {
    return option.parseArg === undefined ? text : option.parseArg(text, undefined)
  } catch (error) {
    if (error instanceof InvalidArgumentError)
      throw wrong(error.message.replace(/^Expected |\.$/g, ''))
    throw error
  }
}

/**
 * Reads `Name: value`, in which `${VARIABLE}` stands for a variable's value.
 *
 * @throws {ProxyError} `USAGE` when it is no header, or a variable is not set.
 */
export function parseHeaders(texts: readonly string[], env: Runtime['env']): [string, string][] {
  return texts.map((text) => {
    const [, name = '', raw = ''] = /^\s*([^:\s]+)\s*:\s*(.*?)\s*$/.exec(text) ?? []
    const value = raw.replace(/\$\{([A-Za-z_]\w*)\}/g, (_all, variable: string) => {
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
