import { describe, expect, it } from 'vitest'
import { installOptionsOf } from '../../../src/hosts/connect.js'
import { HOST_IDS, type HostId, type Server } from '../../../src/hosts/host.js'
import { findHost } from '../../../src/hosts/hosts.js'
import { launchOf } from '../../../src/hosts/launch.js'

const URL = 'https://mcp.acme.com/mcp'

const PROGRAM = { node: '/opt/node', script: '/opt/bridge/bin.js' }

const PINNED = ['-y', 'mcp-descope-proxy@0', 'stdio', URL]

const HTTP = { kind: 'http', url: URL } as const

const server = (platform: NodeJS.Platform, more: Partial<Server> = {}): Server => ({
  name: 'acme',
  connection: launchOf({ platform, program: PROGRAM }, URL, { absolute: false }),
  values: {},
  references: [],
  ...more,
})

const offer = (id: HostId, platform: NodeJS.Platform, more: Partial<Server> = {}) => {
  const host = findHost(id)
  const given = server(platform, more)
  return installOptionsOf({ platform }, host, given.name, host.entry(given), { project: false })
}

const TYPE: Partial<Record<HostId, object>> = {
  'claude-code': { type: 'stdio' },
  vscode: { type: 'stdio' },
}

const CONTAINER: Partial<Record<HostId, string>> = { vscode: 'servers' }

const JSON_HOSTS = HOST_IDS.filter((id) => id !== 'codex')

describe('the snippet of a host', () => {
  it.each(JSON_HOSTS.flatMap((id) => (['darwin', 'linux'] as const).map((on) => ({ id, on }))))(
    'starts npx for $id on $on',
    ({ id, on }) => {
      const entry = { ...TYPE[id], command: 'npx', args: PINNED }
      const document = { [CONTAINER[id] ?? 'mcpServers']: { acme: entry } }
      expect(offer(id, on).document).toEqual(document)
      expect(offer(id, on).snippet).toBe(`${JSON.stringify(document, undefined, 2)}\n`)
    },
  )

  it.each(JSON_HOSTS)('[bridge-launch-command] starts npx through cmd for %s on Windows', (id) => {
    const entry = { ...TYPE[id], command: 'cmd', args: ['/c', 'npx', ...PINNED] }
    expect(offer(id, 'win32').document).toEqual({
      [CONTAINER[id] ?? 'mcpServers']: { acme: entry },
    })
  })

  it.each([
    { on: 'linux', command: 'npx', first: '' },
    { on: 'win32', command: 'cmd', first: '"/c", "npx", ' },
  ] as const)('is TOML for codex on $on', ({ on, command, first }) => {
    expect(offer('codex', on)).toMatchObject({
      document: undefined,
      snippet: `[mcp_servers.acme]
command = "${command}"
args = [${first}"-y", "mcp-descope-proxy@0", "stdio", "${URL}"]
`,
    })
  })

  it.each([
    { id: 'claude-code', value: { type: 'http', url: URL } },
    { id: 'cursor', value: { url: URL } },
    { id: 'vscode', value: { type: 'http', url: URL } },
    { id: 'windsurf', value: { serverUrl: URL } },
    { id: 'codex', value: { url: URL } },
    { id: 'gemini', value: { httpUrl: URL } },
  ] as const)('holds the URL for $id with --http', ({ id, value }) => {
    expect(findHost(id).entry(server('linux', { connection: HTTP }))).toEqual({ value, inputs: [] })
  })

  it('has a reason where there is no --http', () => {
    expect(HOST_IDS.filter((id) => findHost(id).noHttp !== undefined)).toEqual(['claude-desktop'])
  })

  const needs = { values: { MCP_DESCOPE_PROFILE: 'work' }, references: ['ACME_TOKEN'] }
  it.each([
    { id: 'claude-desktop', token: undefined },
    { id: 'claude-code', token: '$' + '{ACME_TOKEN}' },
    { id: 'cursor', token: '$' + '{env:ACME_TOKEN}' },
    { id: 'windsurf', token: '$' + '{env:ACME_TOKEN}' },
    { id: 'gemini', token: '$' + '{ACME_TOKEN}' },
    { id: 'vscode', token: '$' + '{input:acme-acme-token}' },
  ] as const)('refers to variables the way of $id', ({ id, token }) => {
    const { value } = findHost(id).entry(server('linux', needs))
    expect(value['env']).toEqual({
      MCP_DESCOPE_PROFILE: 'work',
      ...(token !== undefined && { ACME_TOKEN: token }),
    })
  })

  it('makes VS Code ask for what it refers to', () => {
    expect(findHost('vscode').entry(server('linux', needs)).inputs).toEqual([
      {
        type: 'promptString',
        id: 'acme-acme-token',
        description: 'ACME_TOKEN for acme',
        password: true,
      },
    ])
  })

  it('names the variables that Codex hands on', () => {
    expect(offer('codex', 'linux', needs).snippet).toContain(
      'env = { MCP_DESCOPE_PROFILE = "work" }\nenv_vars = ["ACME_TOKEN"]\n',
    )
  })
})

describe('the command line and the link of a host', () => {
  it('exist where the host has them', () => {
    const found = HOST_IDS.map((id) => [id, offer(id, 'linux')] as const)
    const having = (part: 'command' | 'link') =>
      found.filter(([, it]) => it[part] !== undefined).map(([id]) => id)
    expect(having('command')).toEqual(['claude-code', 'vscode'])
    expect(having('link')).toEqual(['cursor', 'vscode'])
  })

  it('quotes for sh', () => {
    expect(offer('claude-code', 'linux').command).toBe(
      `claude mcp add-json --scope user acme '{"type":"stdio","command":"npx","args":${JSON.stringify(PINNED)}}'`,
    )
    expect(offer('vscode', 'darwin', { name: "it's $HOME" }).command).toBe(
      `code --add-mcp '{"name":"it'\\''s $HOME","type":"stdio","command":"npx","args":${JSON.stringify(PINNED)}}'`,
    )
  })

  it('quotes for cmd.exe', () => {
    const connection = { kind: 'stdio', command: 'C:\\a b\\node.exe', args: ['C:\\x\\'] } as const
    expect(offer('vscode', 'win32', { connection }).command).toBe(
      String.raw`code --add-mcp "{\"name\":\"acme\",\"type\":\"stdio\",\"command\":\"C:\\a b\\node.exe\",\"args\":[\"C:\\x\\\\\"]}"`,
    )
  })

  it.each(['acme', 'Ärger & Söhne', 'a"b\\c', '__proto__', '100 % +?#'])(
    'carries the name %j through links',
    (name) => {
      const cursor = new globalThis.URL(offer('cursor', 'linux', { name }).link ?? '')
      expect(cursor.searchParams.get('name')).toBe(name)
      const config = Buffer.from(cursor.searchParams.get('config') ?? '', 'base64').toString()
      expect(JSON.parse(config)).toEqual({ command: 'npx', args: PINNED })
      const [, query = ''] = (offer('vscode', 'linux', { name }).link ?? '').split('install?')
      expect(JSON.parse(decodeURIComponent(query))).toEqual({
        name,
        type: 'stdio',
        command: 'npx',
        args: PINNED,
      })
    },
  )

  it('gives VS Code the inputs, too', () => {
    const { link = '', command } = offer('vscode', 'linux', { references: ['T'] })
    expect(JSON.parse(decodeURIComponent(link.split('install?')[1] ?? '')).inputs).toHaveLength(1)
    expect(command).toContain('"inputs":[{"type":"promptString","id":"acme-t"')
  })

  it('says the scope of a project, and offers no link for it', () => {
    const [host, given] = [findHost('claude-code'), server('linux')]
    const project = { project: true }
    expect(
      installOptionsOf({ platform: 'linux' }, host, 'acme', host.entry(given), project).command,
    ).toMatch(/^claude mcp add-json --scope project acme /)
    const vscode = findHost('vscode')
    expect(
      installOptionsOf({ platform: 'linux' }, vscode, 'acme', vscode.entry(given), project),
    ).toMatchObject({ command: undefined, link: undefined })
  })
})
