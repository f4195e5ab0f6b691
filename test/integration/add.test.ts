import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse as parseToml } from 'smol-toml'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CLIENT } from '../helpers/bridge.js'
import { BIN, runCli } from '../helpers/cli.js'
import { createFolder } from '../helpers/folder.js'
import { type RecordingTarget, startRecordingTarget } from '../helpers/targets/recording.js'

const URL = 'https://mcp.acme.com/mcp'
const CURSOR = `{
  // my servers
  "mcpServers": {
    "mine": { "command": "x", "env": { "API_KEY": "hidden-key" } }, // keep
  },
  "other": [1,2]
}`

describe('add', () => {
  const add = (home: string, ...args: string[]) =>
    runCli(['add', ...args], { env: { HOME: home }, cwd: home })

  it('prints and changes nothing', async () => {
    const home = createFolder()
    const { status, stdout, stderr } = await add(home, 'cursor', URL)
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ mcpServers: {} })
    expect(stderr).toContain(`Add this to ${home}/.cursor/mcp.json, for Cursor.\n`)
    expect(readdirSync(home)).toEqual([])
  })

  it.each([
    { host: 'claude-desktop', file: '.config/Claude/claude_desktop_config.json' },
    { host: 'claude-code', file: '.claude.json' },
    { host: 'cursor', file: '.cursor/mcp.json' },
    { host: 'vscode', file: '.config/Code/User/mcp.json' },
    { host: 'windsurf', file: '.codeium/windsurf/mcp_config.json' },
    { host: 'codex', file: '.codex/config.toml' },
    { host: 'gemini', file: '.gemini/settings.json' },
  ])('makes the file of $host with --write', async ({ host, file }) => {
    const home = createFolder()
    const { stdout } = await add(home, host, URL, '--json')
    const printed = JSON.parse(stdout).snippet
    const { status, stdout: path, stderr } = await add(home, host, URL, '--write')
    expect({ status, path }).toEqual({ status: 0, path: `${join(home, file)}\n` })
    expect(stderr).toContain('\n+')
    const text = readFileSync(join(home, file), 'utf8')
    const parse = host === 'codex' ? (toml: string) => ({ ...parseToml(toml) }) : JSON.parse
    expect(parse(text)).toEqual(host === 'codex' ? parse(printed) : printed)
    expect(text.endsWith('\n')).toBe(true)
    expect(readdirSync(dirname(join(home, file)))).toHaveLength(1)
  })

  it('keeps what is in the file, shows the diff without secrets, and makes a backup', async () => {
    const home = createFolder({ '.cursor/mcp.json': CURSOR })
    const path = join(home, '.cursor/mcp.json')
    const { status, stderr } = await add(home, 'cursor', URL, '--write')
    expect(status).toBe(0)
    expect(stderr).toContain(`--- ${path}\n+++ ${path}\n@@ -3,4 +3,13 @@\n`)
    expect(stderr).toContain(
      '     "mine": { "command": "x", "env": { "API_KEY": "[redacted]" } }, // keep\n',
    )
    expect(stderr).toContain('+    "mcp-acme-com": {\n')
    expect(stderr).not.toContain('hidden')
    expect(stderr).toContain(`The old file is ${path}.bak\nWritten. `)
    expect(readFileSync(`${path}.bak`, 'utf8')).toBe(CURSOR)
    const [head, tail] = CURSOR.split('\n  },') as [string, string]
    const text = readFileSync(path, 'utf8')
    expect(text.startsWith(`${head}\n    "mcp-acme-com": {`)).toBe(true)
    expect(text.endsWith(`\n    },\n  },${tail}`)).toBe(true)

    const again = await add(home, 'cursor', URL, '--write')
    expect(again).toMatchObject({ status: 0, stderr: 'Cursor has this server already.\n' })
    expect(readFileSync(path, 'utf8')).toBe(text)
    expect(readFileSync(`${path}.bak`, 'utf8')).toBe(CURSOR)

    const other = await add(home, 'cursor', URL, '--write', '--http')
    expect(other).toMatchObject({ status: 2, stdout: '' })
    expect(other.stderr).toBe(
      `error: ${path} has another server "mcp-acme-com"\nhint:  Give \`--force\` to replace it, or another name with \`--name <name>\`.\n`,
    )
    expect(readFileSync(path, 'utf8')).toBe(text)
    expect((await add(home, 'cursor', URL, '--write', '--http', '--force')).status).toBe(0)
    expect(readFileSync(path, 'utf8')).toContain(`"mcp-acme-com": {\n      "url": "${URL}"\n    },`)
  })

  it.each([{ flags: ['--dry-run'] }, { flags: ['--dry-run', '--write'] }])(
    'shows the diff and writes nothing with $flags',
    async ({ flags }) => {
      const home = createFolder({ '.codex/config.toml': 'model = "x"\n' })
      const { status, stdout, stderr } = await add(home, 'codex', URL, ...flags)
      expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
      expect(stderr).toContain(' model = "x"\n+\n+[mcp_servers.mcp-acme-com]\n')
      expect(stderr.endsWith('\nNothing was written.\n')).toBe(true)
      expect(readdirSync(join(home, '.codex'))).toEqual(['config.toml'])
      expect(readFileSync(join(home, '.codex/config.toml'), 'utf8')).toBe('model = "x"\n')
      await add(home, 'cursor', URL, ...flags)
      expect(existsSync(join(home, '.cursor'))).toBe(false)
    },
  )

  it.each([
    {
      host: 'cursor',
      file: '.cursor/mcp.json',
      text: '{\n  "a": 1\n  "b": 2\n}',
      at: 'line 3, column 3',
    },
    { host: 'codex', file: '.codex/config.toml', text: 'a = 1\nb =\n', at: 'line 2, column 4' },
  ])('refuses a broken file of $host with --force, too', async ({ host, file, text, at }) => {
    const home = createFolder({ [file]: text })
    const { status, stdout, stderr } = await add(home, host, URL, '--write', '--force')
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(`error: ${join(home, file)} is broken at ${at}: `)
    expect(stderr).toContain(
      'hint:  Correct the file, and run the command again. Nothing was written.\n',
    )
    expect(readFileSync(join(home, file), 'utf8')).toBe(text)
    expect(readdirSync(dirname(join(home, file)))).toHaveLength(1)
  })

  it('says so when the file cannot be written, and leaves it as it is', async () => {
    const home = createFolder({ '.cursor/mcp.json': '{}', '.cursor/mcp.json.bak/in-the-way': '' })
    const { status, stderr } = await add(home, 'cursor', URL, '--write')
    expect(status).toBe(2)
    expect(stderr).toMatch(/error: Cannot write .+mcp\.json \(E[A-Z]+\)\n/)
    expect(readFileSync(join(home, '.cursor/mcp.json'), 'utf8')).toBe('{}')
    expect(readdirSync(join(home, '.cursor')).sort()).toEqual(['mcp.json', 'mcp.json.bak'])
  })

  it('reports to scripts with --json', async () => {
    const home = createFolder()
    const { stdout } = await add(home, 'vscode', URL, '--write', '--json', '--name', 'acme')
    expect(JSON.parse(stdout)).toMatchObject({
      host: 'vscode',
      name: 'acme',
      file: join(home, '.config/Code/User/mcp.json'),
      format: 'json',
      written: true,
      changed: true,
      diff: expect.stringContaining('+    "acme": {'),
    })
    const failed = await add(home, 'vscode', URL, '--write', '--json', '--name', 'acme', '--http')
    expect(JSON.parse(failed.stderr)).toMatchObject({ error: { code: 'USAGE' } })
  })

  it("uses the project's file with --project", async () => {
    const home = createFolder()
    const { stdout } = await add(home, 'claude-code', URL, '--project', '--write')
    expect(stdout).toBe(`${home}/.mcp.json\n`)
    expect(readdirSync(home)).toEqual(['.mcp.json'])
  })
})

describe('what add writes', () => {
  let target: RecordingTarget
  beforeEach(async () => {
    target = await startRecordingTarget({})
  })
  afterEach(() => target.close())

  it.each([{ by: 'URL' }, { by: 'name' }])(
    'starts a bridge that answers, by $by',
    async ({ by }) => {
      const home = createFolder()
      const own = join(home, '.config/mcp-descope-proxy')
      mkdirSync(own, { recursive: true })
      writeFileSync(
        join(own, 'config.json'),
        JSON.stringify({ targets: { acme: { url: target.url } } }),
      )
      const argument = by === 'URL' ? target.url : 'acme'
      const args = ['add', 'claude-desktop', argument, '--absolute', '--write', '--name', 'acme']
      expect((await runCli(args, { env: { HOME: home } })).status).toBe(0)

      const file = join(home, '.config/Claude/claude_desktop_config.json')
      const { command, args: given } = JSON.parse(readFileSync(file, 'utf8')).mcpServers.acme
      expect([command, given[0]]).toEqual([process.execPath, BIN])
      const answer = await askToInitialize(spawn(command, given, { env: { HOME: home }, cwd: '/' }))
      expect(answer).toMatchObject({
        id: 1,
        result: { protocolVersion: CLIENT.protocolVersion },
      })
      expect(target.of('initialize')).toHaveLength(1)
    },
  )
})

/** Sends `initialize`, closes stdin, and waits for the end; returns the first message. */
async function askToInitialize(bridge: ChildProcessWithoutNullStreams): Promise<unknown> {
  let stdout = ''
  const ended = new Promise((resolve, reject) => bridge.on('close', resolve).on('error', reject))
  const answered = new Promise<void>((resolve) => {
    bridge.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      if (stdout.includes('\n')) resolve()
    })
  })
  const request = { jsonrpc: '2.0', id: 1, method: 'initialize', params: CLIENT }
  bridge.stdin.write(`${JSON.stringify(request)}\n`)
  await Promise.race([answered, ended])
  bridge.stdin.end()
  await ended
  return JSON.parse(stdout.split('\n')[0] ?? '')
}
