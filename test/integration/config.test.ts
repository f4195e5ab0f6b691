import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runCli, startCli } from '../helpers/cli.js'
import { createFolder } from '../helpers/folder.js'

const SEED = {
  DESCOPE_CONFIG_URL:
    'https://api.descope.com/v1/apps/P2abcdefghijklmnopqrstuvwxyz0/.well-known/openid-configuration',
  TARGET_MCP_SERVER_URL: 'https://t.example/mcp',
}

/** A script that leaves a mark when it runs. */
const mark = (name: string) => `require('node:fs').writeFileSync(${JSON.stringify(name)}, 'ran')`

describe('reading a configuration runs no code', () => {
  it.each([
    '.config/config.js',
    '.config/config.cjs',
    '.config/config.mjs',
    '.config/config.ts',
    'mcp-descope-proxy.config.js',
    'mcp-descope-proxy.config.cjs',
    'mcp-descope-proxy.config.ts',
    '.mcp-descope-proxyrc.js',
    '.mcp-descope-proxyrc.cjs',
    '.config/mcp-descope-proxyrc.cjs',
  ])('of %s in the working directory', async (name) => {
    const cwd = createFolder({ [name]: mark('marked'), 'package.json': { type: 'commonjs' } })
    const { status, stdout } = await runCli(['config', 'show', '--json'], { cwd })
    expect(status).toBe(0)
    expect(JSON.parse(stdout).settings['server.port']).toEqual({ value: 8000, origin: 'default' })
    expect(existsSync(join(cwd, 'marked'))).toBe(false)
  })

  it.each(['.mcp-descope-proxyrc.json', '.mcp-descope-proxyrc', 'mcp-descope-proxy.config.yaml'])(
    'that $import names in %s',
    async (name) => {
      const cwd = createFolder({ [name]: { $import: './x.cjs' }, 'x.cjs': mark('marked') })
      const { status, stderr } = await runCli(['config', 'validate'], { cwd })
      expect(status).toBe(2)
      expect(stderr).toContain('Unknown setting "$import"')
      expect(existsSync(join(cwd, 'marked'))).toBe(false)
    },
  )

  it('of a meta configuration that names other places', async () => {
    const cwd = createFolder({
      'package.json': { cosmiconfig: { searchPlaces: ['evil.cjs'] } },
      '.config/config.json': { cosmiconfig: { searchPlaces: ['evil.cjs'] } },
      'evil.cjs': mark('marked'),
    })
    const { status } = await runCli(['config', 'show'], { cwd })
    expect({ status, ran: existsSync(join(cwd, 'marked')) }).toEqual({ status: 0, ran: false })
  })
})

describe('the program as a process', () => {
  it('reads flags, environment, .env and file in this order', async () => {
    const cwd = createFolder({
      '.env': 'PORT=2\nHOST=localhost\n',
      'mcp-descope-proxy.config.json': '{\n // here\n "server": { "port": 3, "path": "/x" },\n}',
    })
    const argv = ['config', 'show', '--json', '--log-level', 'warn']
    const { stdout } = await runCli(argv, { cwd, env: { ...SEED, PORT: '1' } })
    const { settings } = JSON.parse(stdout)
    expect(settings).toMatchObject({
      'log.level': { value: 'warn', origin: 'flag --log-level' },
      'server.port': { value: 1, origin: 'env PORT' },
      'server.host': { value: 'localhost', origin: '.env HOST' },
      'server.path': { value: '/x', origin: 'file ./mcp-descope-proxy.config.json:3' },
    })
  })

  it('refuses to serve without Descope and a target, and says what to do', async () => {
    const { status, stdout, stderr } = await runCli(['serve'], { cwd: createFolder() })
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toBe(
      [
        'error: The configuration has 2 problems:',
        '  descope.configUrl is missing (default) — set DESCOPE_CONFIG_URL to the discovery URL of the MCP server in Descope, or try it without an account with `mcp-descope-proxy demo`',
        '  There is no target (default) — set TARGET_MCP_SERVER_URL, give --target <url>, or write "targets" in a configuration file',
        'hint:  Run `mcp-descope-proxy config show` to see every setting and where it comes from.',
        '',
      ].join('\n'),
    )
  })

  it('ends with 2 on an unknown flag, before or after the others', async () => {
    const cwd = createFolder()
    for (const argv of [
      ['serve', '--prot', '1', '--host', 'x'],
      ['serve', '--host', 'x', '--prot=1'],
    ]) {
      const { status, stderr } = await runCli(argv, { cwd })
      expect(status).toBe(2)
      expect(stderr).toBe('error: Unknown option "--prot"\nhint:  Did you mean --port?\n')
    }
  })

  it('prints the version of the package', async () => {
    const { version } = (await import('../../package.json', { with: { type: 'json' } })).default
    const { status, stdout, stderr } = await runCli(['--version'])
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('survives a reader that goes away', async () => {
    const { child, ended } = startCli(['config', 'schema'])
    child.stdout.destroy()
    expect(await ended).toMatchObject({ status: 0, stderr: '' })
  })

  it.each([[['--help']], [['--version']], [['serve', '--help']], [['config', '--help']]])(
    'loads none of the large packages for %j',
    async (argv) => {
      const hooks = `import { writeSync } from 'node:fs'
      export async function load(url, context, next) {
        writeSync(2, url + '\\n')
        return next(url, context)
      }`
      const folder = createFolder({ 'hooks.mjs': hooks })
      const register = join(folder, 'register.mjs')
      writeFileSync(
        register,
        "import { register } from 'node:module'\nregister('./hooks.mjs', import.meta.url)\n",
      )
      const { status, stderr } = await runCli(argv, { nodeArguments: ['--import', register] })
      expect(status).toBe(0)
      expect(stderr).toMatch(/dist\/cli\.js/)
      expect(stderr).not.toMatch(
        /node_modules\/(zod|undici|jose|cosmiconfig|@modelcontextprotocol)/,
      )
    },
  )
})

describe('an old Node', () => {
  const old = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } })`
  const nodeArguments = ['--import', `data:text/javascript,${encodeURIComponent(old)}`]
  const sentence = `mcp-descope-proxy needs Node.js 20.18.1 or newer, and ${process.execPath} is 18.20.4; install a newer one from https://nodejs.org, or name its full path as the command.`

  it('[bridge-old-node] is refused in one sentence', async () => {
    const result = await runCli(['serve'], { nodeArguments })
    expect(result).toMatchObject({ status: 1, stdout: '', stderr: `error: ${sentence}\n` })
  })

  it('[bridge-old-node] is told to the host that waits for an answer', async () => {
    const { child, ended } = startCli(['stdio'], { nodeArguments })
    child.stdin.write('\n{"jsonrpc":"2.0","method":"notifications/x"}\n{"jsonrpc":"2.0","id":0,')
    child.stdin.write('"method":"initialize","params":{}}\n')
    const { status, stdout } = await ended
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toEqual({
      jsonrpc: '2.0',
      id: 0,
      error: { code: -32603, message: sentence },
    })
  })

  it('ends at the end of input without a request', async () => {
    expect(await runCli(['stdio'], { nodeArguments })).toMatchObject({ status: 1, stdout: '' })
  })
})
