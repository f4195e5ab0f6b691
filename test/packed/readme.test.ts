import { execFile, spawn } from 'node:child_process'
import { access, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse as parseJsonc } from 'jsonc-parser'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { type Identity, startIdentity } from '../../src/demo/identity/index.js'
import { installFastMcp } from '../helpers/fastmcp.js'
import { createPackedFolder, type PackedFolder } from '../helpers/pack.js'
import { type Block, readBlocks } from '../helpers/readme.js'
import { clock } from '../helpers/stack.js'
import { eventually } from '../helpers/targets/eventually.js'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const INSTALL_MS = 300_000
const RUN_MS = 90_000

let folder: PackedFolder
let identity: Identity
beforeAll(async () => {
  folder = await createPackedFolder()
  identity = await startIdentity({ clock })
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: folder.path })
}, INSTALL_MS)
afterAll(async () => {
  await identity?.close()
  await folder?.remove()
})

const environment = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], HOME: folder.path })

/** Starts a block in the folder in which the program is installed, as somebody would type it. */
function start(text: string, env: NodeJS.ProcessEnv = {}) {
  const child = spawn('sh', ['-ec', text], {
    cwd: folder.path,
    env: { ...environment(), ...env },
    detached: true,
  })
  const { pid } = child
  onTestFinished(() => {
    if (pid !== undefined && child.exitCode === null) process.kill(-pid, 'SIGKILL')
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      said += chunk
    })
  }
  return () => said
}

/** Puts what works here in place of what only works there. */
const led = (text: string) =>
  text
    .replace(/https:\/\/api\.descope\.com\S+openid-configuration/g, identity.configUrl)
    .replaceAll('TARGET_TOKEN=…', 'TARGET_TOKEN=secret')
    .replaceAll('--host 0.0.0.0', '--host 127.0.0.1')

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return String(typeof address === 'object' ? address?.port : '')
}

/** Waits until a server that a block starts answers with its landing page. */
async function serves(said: () => string, port: string, host: string, url: string) {
  await eventually(() => expect(said()).toContain(`for ${url}`), RUN_MS)
  const { stdout } = await run('curl', ['-s', '-H', `Host: ${host}`, `http://127.0.0.1:${port}/`])
  expect(stdout).toContain(`<code>${url}</code>`)
}

const IDENTITY = 'Who calls: identity for targets'

/** Puts ports of this machine in place of an example's URLs. */
async function identityExample(text: string, written: string) {
  const [port, proxyPort] = [await freePort(), await freePort()]
  const example = text
    .replaceAll('https://mcp.example.com', `http://localhost:${proxyPort}`)
    .replaceAll('https://notes.example.com', `http://127.0.0.1:${port}`)
    .replace(written, port)
  return { port, proxyPort, example }
}

/** Starts the proxy before an example, which must tell callers apart and take nothing else. */
async function tellsWhoCalls(
  { port, proxyPort }: { port: string; proxyPort: string },
  told: { method: 'jwt'; header?: string },
) {
  const url = `http://127.0.0.1:${port}/mcp`
  const file = join(folder.path, `identity-${port}.config.json`)
  const targets = { notes: { url, prefix: '', identity: told } }
  await writeFile(file, JSON.stringify({ descope: { configUrl: identity.configUrl }, targets }))
  const said = start('npx mcp-descope-proxy serve', {
    ...{ PORT: proxyPort, MCP_DESCOPE_CONFIG: file },
  })
  const resource = `http://localhost:${proxyPort}/mcp`
  await serves(said, proxyPort, `localhost:${proxyPort}`, resource)
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami' } }
  const send = (to: string, headers: Record<string, string>) =>
    fetch(to, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...headers,
      },
      body: JSON.stringify(call),
    })
  await eventually(async () => expect((await send(url, {})).status).toBe(401), RUN_MS)
  for (const sub of ['U1alice', 'U2bob']) {
    const claims = { sub, dct: 'T1', aud: [identity.projectId, resource] }
    const token = await identity.mint(claims)
    expect((await send(url, { authorization: `Bearer ${token}` })).status).toBe(401)
    const answer = await send(resource, { authorization: `Bearer ${token}`, 'x-user-jwt': token })
    expect(await answer.text()).toContain(`${sub} of T1`)
  }
}

interface Entry {
  section: string
  language: string
  /** How it is proved. */
  prove?: (text: string) => void | Promise<void>
  /** Why it cannot be run here, and what is proved instead. */
  because?: string
}

const EXPORTS = {
  get DESCOPE_CONFIG_URL() {
    return identity.configUrl
  },
  TARGET_MCP_SERVER_URL: 'http://127.0.0.1:9000/mcp',
}

/** Every block of the README, in its order. Whoever adds one says here how it is proved. */
const ENTRIES: Entry[] = [
  { section: 'mcp-descope-proxy', language: 'text', because: 'a drawing' },
  {
    section: 'Try it',
    language: 'sh',
    because: 'the second line is this run; `demo` is run from the package in packed.test.ts',
  },
  {
    section: 'Your own machine',
    language: 'sh',
    async prove(text) {
      const PORT = await freePort()
      const said = start(led(text), { PORT })
      await serves(said, PORT, `localhost:${PORT}`, `http://localhost:${PORT}/mcp`)
    },
  },
  {
    section: 'Your own machine',
    language: 'sh',
    async prove(text) {
      const lines = text.trim().split('\n')
      const ports = await Promise.all(lines.map(freePort))
      const outputs = lines.map((line, at) =>
        start(line.replace(/--port \d+/, `--port ${ports[at]}`)),
      )
      await eventually(() => {
        expect(outputs[0]?.()).toContain(`DESCOPE_CONFIG_URL=http://127.0.0.1:${ports[0]}/`)
        expect(outputs[1]?.()).toContain(`http://127.0.0.1:${ports[1]}/mcp and wants the token`)
      }, RUN_MS)
    },
  },
  {
    section: 'Your own machine',
    language: 'sh',
    async prove(text) {
      const PORT = await freePort()
      const said = start(led(text), { ...EXPORTS, PORT })
      await serves(said, PORT, 'mcp.example.com', 'https://mcp.example.com/mcp')
      expect(said()).not.toContain('SESSION_SECRET')
    },
  },
  {
    section: 'On a desktop',
    language: 'jsonc',
    prove(text) {
      const [command, ...args] = ['npx', '-y', 'mcp-descope-proxy', 'stdio']
      expect(parseJsonc(text)).toEqual({
        mcpServers: { acme: { command, args: [...args, 'https://mcp.example.com/mcp'] } },
      })
    },
  },
  {
    section: 'Vercel',
    language: 'sh',
    async prove(text) {
      const lines = text.split('\n')
      const local = lines.filter((line) => !/npx vercel|^npm install/.test(line)).join('\n')
      await run('sh', ['-ec', local], { cwd: folder.path })
      await access(join(folder.path, 'my-mcp-server', 'vercel.json'))
    },
    because: 'the rest wants an account; what is deployed is built and run in vercel.test.ts',
  },
  {
    section: 'Docker',
    language: 'sh',
    async prove(text) {
      for (const [, path = ''] of text.matchAll(/-f (\S+)/g)) await access(join(ROOT, path))
    },
    because: 'wants a Docker engine; the file is carried out step by step in docker.test.ts',
  },
  {
    section: 'Docker',
    language: 'sh',
    async prove(text) {
      for (const [, path = ''] of text.matchAll(/-f (\S+)/g)) await access(join(ROOT, path))
    },
    because: 'wants a Docker engine; both services are run in docker.test.ts',
  },
  {
    section: 'Kubernetes',
    language: 'sh',
    async prove(text) {
      for (const [, path = ''] of text.matchAll(/-f (\S+)/g)) await access(join(ROOT, path))
    },
    because: 'wants a cluster; the manifests are checked in kubernetes.test.ts',
  },
  {
    section: 'Check a server',
    language: 'sh',
    because: '`test-target` is run against servers of all kinds in integration/diagnose',
  },
  {
    section: 'Check a server',
    language: 'yaml',
    prove: (text) => {
      expect(Object.keys(parseYaml(text).jobs)).toEqual(['mcp'])
    },
  },
  {
    section: 'Several targets',
    language: 'jsonc',
    async prove(text) {
      const file = join(folder.path, 'several.config.json')
      await writeFile(
        file,
        text.replace(/https:\/\/api\.descope\.com\S+openid-configuration/, identity.configUrl),
      )
      const secrets = { SESSION_SECRET: 's'.repeat(32), GITHUB_MCP_TOKEN: 'ghp_0123456789' }
      const env = { ...environment(), ...secrets }
      const args = ['mcp-descope-proxy', 'config', 'validate', file]
      await expect(run('npx', args, { cwd: folder.path, env })).resolves.toBeDefined()
    },
  },
  {
    section: 'Several targets',
    language: 'jsonc',
    async prove(text) {
      const file = join(folder.path, 'resources.config.json')
      await writeFile(file, `{"descope":{"configUrl":"${identity.configUrl}"},"targets":{${text}}}`)
      const explain = ['mcp-descope-proxy', 'config', 'explain-access', '--json', '--config', file]
      for (const uri of ['note://secret/1', 'note://board/1', 'note://paid/1', 'note://open/1']) {
        const args = [...explain, '--claims', '{}', uri]
        const { stdout } = await run('npx', args, { cwd: folder.path, env: environment() })
        expect([uri, JSON.parse(stdout).allowed]).toEqual([uri, uri === 'note://open/1'])
      }
    },
  },
  {
    section: 'An endpoint for each target',
    language: 'jsonc',
    async prove(text) {
      const file = join(folder.path, 'endpoints.config.json')
      const base = identity.configUrl.split('/v1/')[0]
      const id = (letter: string) => `${letter}2abcdefghijklmnopqrstuvwxyz0`
      const filled = text
        .replaceAll('https://api.descope.com', `${base}`)
        .replaceAll('/P…/', `/${id('P')}/`)
      await writeFile(file, filled.replaceAll('MS1…', 'MS1').replaceAll('MS2…', 'MS2'))
      const args = ['mcp-descope-proxy', 'config', 'validate', file]
      await expect(
        run('npx', args, { cwd: folder.path, env: environment() }),
      ).resolves.toBeDefined()
    },
  },
  {
    section: 'Targets on stdio and HTTP+SSE',
    language: 'jsonc',
    async prove(text) {
      const file = join(folder.path, 'program.config.json')
      await writeFile(file, `{"descope":{"configUrl":"${identity.configUrl}"},"targets":{${text}}}`)
      const env = { ...environment(), FILES_KEY: 'k'.repeat(20) }
      const args = ['mcp-descope-proxy', 'config', 'validate', file]
      await expect(run('npx', args, { cwd: folder.path, env })).resolves.toBeDefined()
    },
  },
  {
    section: IDENTITY,
    language: 'jsonc',
    async prove(text) {
      const file = join(folder.path, 'identity.config.json')
      await writeFile(file, `{"descope":{"configUrl":"${identity.configUrl}"},"targets":{${text}}}`)
      const args = ['mcp-descope-proxy', 'config', 'validate', file]
      await expect(
        run('npx', args, { cwd: folder.path, env: environment() }),
      ).resolves.toBeDefined()
    },
  },
  {
    section: IDENTITY,
    language: 'js',
    async prove(text) {
      const { port, proxyPort, example } = await identityExample(text, '9000')
      await writeFile(join(folder.path, 'identity-target.mjs'), example)
      start('node identity-target.mjs')
      await tellsWhoCalls({ port, proxyPort }, { method: 'jwt' })
    },
  },
  {
    section: IDENTITY,
    language: 'python',
    async prove(text) {
      const python = await installFastMcp()
      if (python === undefined) return
      const { port, proxyPort, example } = await identityExample(text, '9001')
      await writeFile(join(folder.path, 'identity_target.py'), example)
      start('python3 identity_target.py', { PYTHONPATH: python, PYTHONDONTWRITEBYTECODE: '1' })
      await tellsWhoCalls({ port, proxyPort }, { method: 'jwt', header: 'Authorization' })
    },
    because: 'FastMCP wants Python 3.10 or newer with pip; without it, this is left out',
  },
  {
    section: 'A token for scripts',
    language: 'sh',
    because: 'wants a person who signs in; `login` and `token` are run in integration/sign-in',
  },
  {
    section: 'In your own server',
    language: 'js',
    async prove(text) {
      await typeCheck(text)
      const port = await freePort()
      const file = join(folder.path, 'own-server.mjs')
      await writeFile(file, text.replace('8000', port))
      start('node own-server.mjs', { ...EXPORTS })
      const health = async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).status
      await eventually(async () => expect(await health()).toBe(200), RUN_MS)
    },
  },
  {
    section: 'The emulator',
    language: 'json',
    prove: (text) => writeFile(join(folder.path, 'emulator.json'), text),
    because: 'the next block runs with it',
  },
  {
    section: 'The emulator',
    language: 'sh',
    async prove(text) {
      const port = await freePort()
      const said = start(text.replace('9100', port))
      await eventually(() => expect(said()).toContain('MCP_DESCOPE_CLIENT_ID=ci\n'), RUN_MS)
      expect(said()).not.toContain('MCP_DESCOPE_CLIENT_SECRET')
      const page = await (await fetch(`http://127.0.0.1:${port}/`)).text()
      expect(page).toContain('mcp:use docs:write outbound.token.fetch')
      await access(join(folder.path, '.emulator', 'emulator.json'))
    },
  },
]

/** Checks an example against the types that the package ships. */
async function typeCheck(text: string): Promise<void> {
  const types = join(folder.path, 'node_modules', '@types')
  await mkdir(types, { recursive: true })
  await symlink(join(ROOT, 'node_modules/@types/node'), join(types, 'node')).catch(() => undefined)
  await symlink(join(ROOT, 'node_modules/undici-types'), join(types, '..', 'undici-types')).catch(
    () => undefined,
  )
  const shipped = join(folder.path, 'node_modules/mcp-descope-proxy/dist/index.d.ts')
  await expect(access(shipped), 'run `npm run build` before').resolves.toBeUndefined()
  await writeFile(join(folder.path, 'example.mts'), text)
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023']
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  const args = [...options, '--exactOptionalPropertyTypes', '--types', 'node', 'example.mts']
  const { stdout } = await run(tsc, args, { cwd: folder.path }).catch((error) => error)
  expect(stdout).toBe('')
}

describe('the README', () => {
  const blocks = readBlocks()
  const nameOf = ({ section, language }: Pick<Block, 'section' | 'language'>) =>
    `${section}: ${language}`

  it('has no block of which nobody says how it is proved', () => {
    expect(blocks.map(nameOf), 'add the block to ENTRIES').toEqual(ENTRIES.map(nameOf))
  })

  it.each(
    ENTRIES.filter(({ prove }) => prove !== undefined).map(
      (entry) => [nameOf(entry), entry] as const,
    ),
  )(
    'works as written: %s',
    async (_, entry) => {
      await entry.prove?.(blocks[ENTRIES.indexOf(entry)]?.text ?? '')
    },
    RUN_MS * 2,
  )

  it('leads to headings and files that exist', async () => {
    const anchorsOf = (text: string) =>
      [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replace(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      )
    const pages = (await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md'))
    for (const page of ['README.md', ...pages.map((name) => `docs/${name}`)]) {
      const source = await readFile(join(ROOT, page), 'utf8')
      for (const [, link = ''] of source.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(link)) continue
        const [file = '', anchor] = link.split('#', 2)
        const path = file === '' ? join(ROOT, page) : join(ROOT, page, '..', file)
        await access(path)
        const anchors = anchor === undefined ? [] : anchorsOf(await readFile(path, 'utf8'))
        if (anchor !== undefined) expect(anchors, `${link} in ${page}`).toContain(anchor)
      }
    }
  })

  it('gives a reason for each block that is not run whole', () => {
    const without = ENTRIES.filter(({ prove, because }) => prove === undefined && !because)
    expect(without).toEqual([])
  })

  it('has both commands on its first screen, as they stand in package.json', () => {
    const start = blocks[1]?.text ?? ''
    expect(start).toMatch(/^npm install && npm run demo /m)
    expect(start).toMatch(/^npm install && npm test /m)
  })
})
