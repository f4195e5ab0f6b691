import { readdirSync } from 'node:fs'
import { posix, win32 } from 'node:path'
import { ProxyError } from '../util/errors.js'
import type { JsonObject } from '../util/json.js'
import { nearest } from '../util/text.js'
import {
  type Entry,
  HOST_IDS,
  type Host,
  type HostId,
  type Input,
  type Server,
  type Where,
} from './host.js'

/** For hosts that make the server's name a part of tool names. */
const PLAIN = { allowed: /^[A-Za-z0-9_-]+$/, rule: 'letters, digits, "-" and "_"' }

const braces = (variable: string) => `\${${variable}}`

const envBraces = (variable: string) => `\${env:${variable}}`

const urlMember = (member: string) => (url: string) => ({ [member]: url })

const typed = (url: string) => ({ type: 'http', url })

const STDIO: JsonObject = { type: 'stdio' }

/**
 * Every host, with what its own documentation says about its file.
 *
 * @see [Claude Desktop](https://modelcontextprotocol.io/docs/develop/connect-local-servers)
 * @see [Claude Code](https://code.claude.com/docs/en/mcp)
 * @see [Cursor](https://cursor.com/docs/mcp)
 * @see [VS Code](https://code.visualstudio.com/docs/copilot/reference/mcp-configuration)
 * @see [Windsurf](https://docs.windsurf.com/windsurf/cascade/mcp)
 * @see [Codex](https://developers.openai.com/codex/mcp)
 * @see [Gemini CLI](https://geminicli.com/docs/tools/mcp-server/)
 */
const HOSTS: Readonly<Record<HostId, Omit<Host, 'id'>>> = {
  'claude-desktop': {
    title: 'Claude Desktop',
    format: 'json',
    container: 'mcpServers',
    userFile: (where) => claudeDesktopFile(where),
    projectFile: undefined,
    noReferences:
      'Claude Desktop cannot look up variables, and starts programs without your environment',
    noHttp: {
      reason: 'The file of Claude Desktop only takes programs to start, no URLs',
      hint: 'Leave out `--http`, or add the URL in Claude under Settings → Connectors.',
    },
    entry: entryWith({}),
    steps: 'In Claude, open Settings → Connectors → Add custom connector, and give the URL.',
    afterwards: 'Quit Claude Desktop and start it again.',
  },
  'claude-code': {
    title: 'Claude Code',
    format: 'json',
    container: 'mcpServers',
    names: PLAIN,
    userFile: (where) => homeFile(where, ['.claude.json'], 'CLAUDE_CONFIG_DIR'),
    projectFile: ['.mcp.json'],
    entry: entryWith({ before: STDIO, reference: braces, http: typed }),
    afterwards: 'Start Claude Code again; `/mcp` shows the server.',
    signIn: () => 'Start Claude Code again, and sign in with `/mcp`.',
  },
  cursor: {
    title: 'Cursor',
    format: 'json',
    container: 'mcpServers',
    userFile: (where) => homeFile(where, ['.cursor', 'mcp.json']),
    projectFile: ['.cursor', 'mcp.json'],
    entry: entryWith({ reference: envBraces, http: urlMember('url') }),
    afterwards: 'Look at Settings → MCP in Cursor, or start Cursor again.',
  },
  vscode: {
    title: 'VS Code',
    format: 'json',
    container: 'servers',
    userFile: (where) => settingsFile(where, 'Code', 'User', 'mcp.json'),
    projectFile: ['.vscode', 'mcp.json'],
    entry: vscodeEntry,
    afterwards: 'Run "MCP: List Servers" in VS Code and start the server.',
  },
  windsurf: {
    title: 'Windsurf',
    format: 'json',
    container: 'mcpServers',
    userFile: (where) => homeFile(where, ['.codeium', 'windsurf', 'mcp_config.json']),
    projectFile: undefined,
    entry: entryWith({ reference: envBraces, http: urlMember('serverUrl') }),
    afterwards: 'Refresh the MCP servers in the Cascade panel of Windsurf.',
  },
  codex: {
    title: 'Codex',
    format: 'toml',
    container: 'mcp_servers',
    names: PLAIN,
    userFile: (where) => homeFile(where, ['.codex', 'config.toml'], 'CODEX_HOME'),
    projectFile: ['.codex', 'config.toml'],
    entry: codexEntry,
    afterwards: 'Start Codex again; `/mcp` shows the server.',
    signIn: (name) => `Sign in with \`codex mcp login ${name}\`, and start Codex again.`,
  },
  gemini: {
    title: 'Gemini CLI',
    format: 'json',
    container: 'mcpServers',
    names: { allowed: /^[A-Za-z0-9-]+$/, rule: 'letters, digits and "-"' },
    userFile: (where) => homeFile(where, ['.gemini', 'settings.json']),
    projectFile: ['.gemini', 'settings.json'],
    entry: entryWith({ reference: braces, http: urlMember('httpUrl') }),
    afterwards: 'Start Gemini CLI again; `/mcp` shows the server.',
    signIn: (name) => `Start Gemini CLI again, and sign in with \`/mcp auth ${name}\`.`,
  },
}

/**
 * Finds a host by its id.
 *
 * @throws {ProxyError} `USAGE`
 */
export function findHost(typed: string): Host {
  const id = HOST_IDS.find((known) => known === typed)
  if (id !== undefined) return { id, ...HOSTS[id] }
  const meant = nearest(typed, HOST_IDS)
  throw new ProxyError('USAGE', `Unknown host ${JSON.stringify(typed)}`, {
    hint: meant === undefined ? `Name one of ${HOST_IDS.join(', ')}.` : `Did you mean ${meant}?`,
  })
}

/** What differs between hosts in the JSON of a server. */
interface EntryFormat {
  /** Members before the command. */
  before?: JsonObject
  /** Writes a reference to a variable. */
  reference?: (variable: string) => string
  /** Writes a URL; absent for hosts that take none. */
  http?: (url: string) => JsonObject
}

/** Writes a server in the format of most hosts: `command`, `args`, `env`. */
function entryWith({ before = {}, reference, http }: EntryFormat): (server: Server) => Entry {
  return ({ connection, values, references }) => {
    if (connection.kind === 'http') {
      return { value: http?.(connection.url) ?? { url: connection.url }, inputs: [] }
    }
    const { command, args } = connection
    const filled = reference === undefined ? [] : references.map((name) => [name, reference(name)])
    const env = { ...values, ...Object.fromEntries(filled) }
    return { value: { ...before, command, args: [...args], ...withoutEmpty({ env }) }, inputs: [] }
  }
}

/** Writes a server for VS Code, which prompts for secrets once and stores them encrypted. */
function vscodeEntry(server: Server): Entry {
  const inputs = server.references.map((variable): Input => {
    const id = `${server.name}-${variable}`.toLowerCase().replace(/[^a-z0-9]+/g, '-')
    const description = `${variable} for ${server.name}`
    return { type: 'promptString', id, description, password: true }
  })
  const idOf = new Map(server.references.map((variable, index) => [variable, inputs[index]?.id]))
  const toEntry = entryWith({
    before: STDIO,
    reference: (variable) => `\${input:${idOf.get(variable)}}`,
    http: typed,
  })
  return { ...toEntry(server), inputs: server.connection.kind === 'http' ? [] : inputs }
}

/** Writes a server for Codex, which passes on the variables listed in `env_vars`. */
function codexEntry({ connection, values, references }: Server): Entry {
  if (connection.kind === 'http') return { value: { url: connection.url }, inputs: [] }
  const { command, args } = connection
  const more = { env: values, env_vars: [...references] }
  return { value: { command, args: [...args], ...withoutEmpty(more) }, inputs: [] }
}

/** Leaves out empty members. */
function withoutEmpty(members: Readonly<Record<string, object>>): JsonObject {
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => Object.keys(value).length > 0),
  )
}

const LONGEST = 64

const LONGEST_DERIVED = 40

/** Makes the name of a server from the name of a target or the host of a URL. */
export function deriveName({ names }: Pick<Host, 'names'>, from: string): string {
  const plain = from.replace(/[^A-Za-z0-9_-]+/g, '-')
  const fitting = names?.allowed.test('_') === false ? plain.replaceAll('_', '-') : plain
  const short = fitting.replace(/^[-_]+/, '').slice(0, LONGEST_DERIVED)
  return short.replace(/(?<![-_])[-_]+$/, '') || 'mcp'
}

/**
 * Checks a name that the user chose.
 *
 * @throws {ProxyError} `USAGE`
 */
export function checkName({ title, names }: Pick<Host, 'title' | 'names'>, name: string): string {
  const wrong = (rule: string) =>
    new ProxyError('USAGE', `The name ${JSON.stringify(name)} ${rule}`, {
      hint: 'Choose another name with `--name <name>`.',
    })
  if (name.trim() !== name || name === '') throw wrong('is empty or has spaces around it')
  if (name.length > LONGEST) throw wrong(`is longer than ${LONGEST} characters`)
  if (/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(name)) throw wrong('contains control characters')
  if (names !== undefined && !names.allowed.test(name)) {
    throw wrong(`is not allowed in ${title}, which takes ${names.rule}`)
  }
  return name
}

/** Lists a folder; empty when it cannot be read. */
type ListFolder = (path: string) => readonly string[]

const listFolder: ListFolder = (path) => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** Joins a path in the style of the given platform. */
export function joinPath({ platform }: Pick<Where, 'platform'>, ...parts: string[]): string {
  return (platform === 'win32' ? win32 : posix).join(...parts)
}

/** A file in the home folder, or in the folder that a variable names instead. */
function homeFile(where: Where, parts: readonly string[], variable?: string): string {
  const own = variable === undefined ? undefined : where.env[variable]
  if (own) return joinPath(where, own, ...parts.slice(-1))
  return joinPath(where, where.homeDir, ...parts)
}

/** A file in the platform's settings folder of desktop programs. */
function settingsFile(where: Where, ...parts: string[]): string {
  const { env, homeDir, platform } = where
  if (platform === 'darwin') {
    return posix.join(homeDir, 'Library', 'Application Support', ...parts)
  }
  if (platform === 'win32') {
    return win32.join(env['APPDATA'] || win32.join(homeDir, 'AppData', 'Roaming'), ...parts)
  }
  const xdg = env['XDG_CONFIG_HOME']
  // the XDG specification says to ignore relative values
  const base = xdg && posix.isAbsolute(xdg) ? xdg : posix.join(homeDir, '.config')
  return posix.join(base, ...parts)
}

/**
 * The file of Claude Desktop. On Windows a program from the Store has its own settings folder, and
 * does not read the usual one.
 */
export function claudeDesktopFile(where: Where, list: ListFolder = listFolder): string {
  const parts = ['Claude', 'claude_desktop_config.json']
  if (where.platform !== 'win32') return settingsFile(where, ...parts)
  const local = where.env['LOCALAPPDATA'] || win32.join(where.homeDir, 'AppData', 'Local')
  const packages = win32.join(local, 'Packages')
  const store = [...list(packages)].sort().find((name) => name.startsWith('Claude_'))
  if (store === undefined) return settingsFile(where, ...parts)
  return win32.join(packages, store, 'LocalCache', 'Roaming', ...parts)
}
