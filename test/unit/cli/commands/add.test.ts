import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { addCommand } from '../../../../src/cli/commands/add.js'
import { run } from '../../../../src/cli/run.js'
import { createFolder } from '../../../helpers/folder.js'
import { createTestRuntime, type TestRuntimeOptions } from '../../../helpers/runtime.js'

const URL = 'https://mcp.acme.com/mcp'

/** How users write a reference. */
const variable = (name: string) => `\${${name}}`

async function add(args: readonly string[], options: TestRuntimeOptions = {}) {
  const runtime = createTestRuntime(options)
  const status = await run(runtime, ['add', ...args])
  return { status, stdout: runtime.stdout(), stderr: runtime.stderr() }
}

/** What is printed with `--json`. */
async function report(args: readonly string[], options: TestRuntimeOptions = {}) {
  const { status, stdout, stderr } = await add([...args, '--json'], options)
  expect({ status, stderr: stderr.replace(/^note: .*\n/gm, '') }).toEqual({ status: 0, stderr: '' })
  return JSON.parse(stdout)
}

const CONFIG = {
  descope: { requiredScopes: ['a'] },
  targets: {
    acme: {
      url: 'https://acme.example/mcp',
      credential: { type: 'bearer', token: variable('ACME_TOKEN') },
    },
    other_one: { url: 'https://other.example/mcp' },
  },
}

describe('the flags of add', () => {
  it.each([
    { args: ['cursor'], target: undefined, flags: { env: [] } },
    { args: ['cursor', URL, '--write'], target: URL, flags: { env: [], write: true } },
    {
      args: ['--env', 'A', '--name', 'n', 'cursor', '--dry-run', 'acme', '--env', 'B'],
      target: 'acme',
      flags: { env: ['A', 'B'], name: 'n', dryRun: true },
    },
    {
      args: ['cursor', '--http', '--force', '--project', '--json', URL],
      target: URL,
      flags: { env: [], http: true, force: true, project: true, json: true },
    },
  ])('are read from $args', async ({ args, target, flags }) => {
    const calls: unknown[] = []
    const runtime = createTestRuntime()
    const command = addCommand(runtime, async (...call) => void calls.push(call))
    await command.parseAsync(args, { from: 'user' })
    expect(calls).toEqual([[runtime, 'cursor', target, flags]])
  })

  it.each([
    { args: [], says: 'Missing required argument "host"' },
    { args: ['cursr', URL], says: 'Unknown host "cursr"\nhint:  Did you mean cursor?' },
    { args: ['cursor', URL, '--wirte'], says: 'Did you mean --write?' },
    { args: ['cursor', 'http://u:p@a/mcp'], says: 'not an http(s) URL without credentials' },
    { args: ['cursor', 'https://'], says: 'not an http(s) URL without credentials' },
    { args: ['cursor', 'nowhere'], says: 'There is no target "nowhere"' },
    { args: ['cursor'], says: 'No target is configured' },
    { args: ['cursor', `${URL}?api_key=hidden`], says: 'The URL holds a secret ("api_key")' },
    { args: ['cursor', `${URL}?api_key=hidden`, '--http'], says: 'The URL holds a secret' },
    { args: ['cursor', 'acme', '--http'], says: 'needs a URL and not a name' },
    { args: ['claude-desktop', URL, '--http'], says: 'only takes programs to start, no URLs' },
    {
      args: ['claude-desktop', URL, '--project'],
      says: 'Claude Desktop has no file for a project',
    },
    { args: ['windsurf', URL, '--project'], says: 'Windsurf has no file for a project' },
    {
      args: ['claude-desktop', URL, '--env', 'A'],
      says: 'Claude Desktop cannot look up variables',
    },
    {
      args: ['cursor', URL, '--env', 'A_KEY=hidden'],
      says: 'never its value\nhint:  Write `--env A_KEY`',
    },
    { args: ['cursor', URL, '--http', '--absolute'], says: '`--absolute` is about the bridge' },
    { args: ['cursor', URL, '--http', '--env', 'A'], says: '`--env` is about the bridge' },
    { args: ['cursor', URL, '--name', ''], says: 'is empty' },
    { args: ['codex', URL, '--name', 'a b'], says: 'is not allowed in Codex' },
  ])('are refused in $args', async ({ args, says }) => {
    const { status, stdout, stderr } = await add(args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(says)
    expect(stderr).not.toContain('hidden')
  })
})

describe('add', () => {
  it('prints the snippet alone on stdout, and what else there is to say on stderr', async () => {
    const { status, stdout, stderr } = await add(['vscode', URL])
    expect(status).toBe(0)
    expect(Object.keys(JSON.parse(stdout))).toEqual(['servers'])
    expect(stderr).toMatch(/^\nAdd this to \/nowhere\/home\/\.config\/Code\/User\/mcp\.json, /)
    expect(stderr).toMatch(/\n\nOr run\n\ncode --add-mcp '/)
    expect(stderr).toMatch(
      /\n\nOr open\n\nvscode:mcp\/install\?\S+\n\nNothing was written: `--write`/,
    )
  })

  it('names the shell on Windows', async () => {
    const where = { platform: 'win32', homeDir: 'C:\\Users\\Zoë' } as const
    const { stderr } = await add(['claude-code', URL], where)
    expect(stderr).toContain('Add this to C:\\Users\\Zoë\\.claude.json, for Claude Code.\n')
    expect(stderr).toContain(
      'Or run in cmd.exe\n\nclaude mcp add-json --scope user mcp-acme-com "{',
    )
  })

  it('[bridge-launch-command] names Node and the script with --absolute', async () => {
    const { snippet } = await report(['cursor', URL, '--absolute'], { platform: 'win32' })
    expect(snippet.mcpServers['mcp-acme-com']).toEqual({
      command: '/nowhere/bin/node',
      args: ['/nowhere/lib/mcp-descope-proxy.js', 'stdio', URL],
    })
  })

  it.each([
    ['claude-code', '.mcp.json'],
    ['cursor', '.cursor/mcp.json'],
    ['vscode', '.vscode/mcp.json'],
    ['codex', '.codex/config.toml'],
    ['gemini', '.gemini/settings.json'],
  ])('knows the file of a project for %s', async (host, file) => {
    expect((await report([host, URL, '--project'])).file).toBe(`/nowhere/project/${file}`)
  })

  it('writes the name of a configured target, and what the bridge needs for it', async () => {
    const home = createFolder({ 'config.json': CONFIG })
    const env = { MCP_DESCOPE_HOME: home, ACME_TOKEN: 'hidden-token', DESCOPE_CONFIG_URL: '' }
    const found = await report(['cursor', 'acme'], { env })
    expect(found).toMatchObject({
      name: 'acme',
      notes: ['The bridge needs ACME_TOKEN. Only the names are written.'],
      snippet: {
        mcpServers: {
          acme: {
            args: ['-y', 'mcp-descope-proxy@0', 'stdio', 'acme'],
            env: { MCP_DESCOPE_HOME: home, ACME_TOKEN: '$' + '{env:ACME_TOKEN}' },
          },
        },
      },
    })
    expect(JSON.stringify(found)).not.toContain('hidden')
  })

  it('takes the only target, and another configuration and profile', async () => {
    const folder = createFolder({
      'my.json': { targets: { only_one: { url: URL } }, profiles: { work: {} } },
    })
    const found = await report(['gemini', '--config', 'my.json', '--profile', 'work'], {
      cwd: folder,
    })
    expect(found.snippet).toEqual({
      mcpServers: {
        'only-one': {
          command: 'npx',
          args: ['-y', 'mcp-descope-proxy@0', 'stdio', 'only_one'],
          env: { MCP_DESCOPE_PROFILE: 'work', MCP_DESCOPE_CONFIG: join(folder, 'my.json') },
        },
      },
    })
  })

  it('writes open variables and refers to secret ones', async () => {
    const env = {
      TARGET_MCP_SERVER_URL: URL,
      TARGET_TOKEN: 'hidden-1',
      MCP_DESCOPE_CLIENT_ID: 'client',
      MCP_DESCOPE_CLIENT_SECRET: 'hidden-2',
      PORT: '1',
    }
    const found = await report(['cursor', 'target'], { env })
    expect(found.snippet.mcpServers.target.env).toEqual({
      MCP_DESCOPE_CLIENT_ID: 'client',
      TARGET_MCP_SERVER_URL: URL,
      MCP_DESCOPE_CLIENT_SECRET: '$' + '{env:MCP_DESCOPE_CLIENT_SECRET}',
      TARGET_TOKEN: '$' + '{env:TARGET_TOKEN}',
    })
    expect(JSON.stringify(found)).not.toContain('hidden')
  })

  it('says what Claude Desktop will miss', async () => {
    const env = { MCP_DESCOPE_TOKEN: 'hidden' }
    const { status, stdout, stderr } = await add(['claude-desktop', URL], { env })
    expect(status).toBe(0)
    expect(stderr).toContain('The bridge will miss MCP_DESCOPE_TOKEN')
    expect(stdout + stderr).not.toContain('hidden')
  })

  it('warns of a copy that npx may delete', async () => {
    const runtime = createTestRuntime()
    const program = { node: '/n', script: '/home/u/.npm/_npx/1/bin.js' }
    expect(await run({ ...runtime, program }, ['add', 'cursor', URL, '--absolute'])).toBe(0)
    expect(runtime.stderr()).toContain('/home/u/.npm/_npx/1/bin.js is a copy that npx may delete')
  })

  it('writes only the URL with --http', async () => {
    const env = { MCP_DESCOPE_CLIENT_SECRET: 'hidden', MCP_DESCOPE_CLIENT_ID: 'x' }
    expect((await report(['windsurf', URL, '--http'], { env })).snippet).toEqual({
      mcpServers: { 'mcp-acme-com': { serverUrl: URL } },
    })
  })
})

describe('a URL that is likely a slip', () => {
  it.each(['cursor', 'claude-desktop', 'vscode --http', 'codex --dry-run'])(
    'is told by `add %s` where it is the front page of a server',
    async (args) => {
      for (const url of ['https://mcp.acme.com', 'https://mcp.acme.com/']) {
        const { status, stderr } = await add([...args.split(' '), url])
        expect(status).toBe(0)
        expect(stderr).toMatch(/note: .*Did you mean https:\/\/mcp\.acme\.com\/mcp\?/)
      }
    },
  )

  it.each([URL, `${URL}/`, 'https://mcp.acme.com/sse', 'https://mcp.acme.com/v1/tools'])(
    'is not suspected in %s',
    async (url) => {
      expect((await add(['cursor', url])).stderr).not.toContain('note:')
    },
  )
})
