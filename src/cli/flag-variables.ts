import { type Command, InvalidArgumentError, type Option } from 'commander'
import { ProxyError } from '../util/errors.js'
import { ownMember, setMember } from '../util/json.js'
import type { Runtime } from '../util/runtime.js'

/** By name of the flag: hosts pass arguments badly, and variables well. */
const VARIABLES: Readonly<Record<string, string>> = {
  '--allow-http': 'MCP_DESCOPE_ALLOW_HTTP',
  '--callback-host': 'MCP_DESCOPE_CALLBACK_HOST',
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
  '--protocol': 'MCP_DESCOPE_PROTOCOL',
  '--scope': 'MCP_DESCOPE_SCOPE',
  '--store': 'MCP_DESCOPE_STORE',
  '--transport': 'MCP_DESCOPE_TRANSPORT',
  '--use-system-ca': 'MCP_DESCOPE_USE_SYSTEM_CA',
  '--wait-for-login': 'MCP_DESCOPE_WAIT_FOR_LOGIN',
}

/**
 * Reads the flags of a command, and what the environment says in their place. A variable for a flag
 * that is repeatable holds one value a line.
 *
 * @throws {ProxyError} `USAGE`
 */
export function readFlags<Flags extends object>(command: Command, env: Runtime['env']): Flags {
  const flags: Record<string, unknown> = { ...command.opts() }
  for (const option of command.options) {
    const variable = ownMember(VARIABLES, option.long ?? '')
    const text = variable && env[variable]
    const name = option.attributeName()
    if (!text || command.getOptionValueSource(name) === 'cli') continue
    setMember(flags, name, readVariable(option, text, variable))
  }
  return flags as Flags
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
