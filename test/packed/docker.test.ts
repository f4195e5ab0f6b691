import { execFile, spawn } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { parse } from 'yaml'
import { type Identity, startIdentity } from '../../src/demo/identity/index.js'
import { environmentOf, lastOf, parseDockerfile, type Stage } from '../helpers/dockerfile.js'
import { clock } from '../helpers/stack.js'
import { eventually } from '../helpers/targets/eventually.js'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DOCKER = join(ROOT, 'deploy', 'docker')
const BUILD_MS = 600_000
/** What npm fetched before is not fetched again. */
const NPM_CACHED = { ...process.env, npm_config_prefer_offline: 'true' }
/** Whom `USER node` is; only root can become somebody else. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

const read = (name: string) => readFile(join(DOCKER, name), 'utf8')

/** Carries out what the Dockerfile says, in folders instead of images. */
async function build(stages: readonly Stage[], folder: string, ignored: readonly string[]) {
  const roots = new Map<string | undefined, string>()
  for (const [index, { name, instructions }] of stages.entries()) {
    const root = join(folder, String(index))
    roots.set(name, root)
    let workdir = root
    for (const { name: instruction, text } of instructions) {
      if (instruction === 'WORKDIR') {
        workdir = join(root, text)
        await mkdir(workdir, { recursive: true })
      }
      if (instruction === 'RUN') await run('sh', ['-c', text], { cwd: workdir, env: NPM_CACHED })
      if (instruction !== 'COPY') continue
      const [, from, rest = ''] = /^(?:--from=(\S+) )?(.*)$/.exec(text) ?? []
      const sources = rest.split(' ')
      const to = sources.pop() ?? ''
      for (const source of sources) {
        if (from === undefined) expect(ignored, source).toContain(`!${source}`)
        const base = to.startsWith('/') ? join(root, to) : join(workdir, to)
        const into = to.endsWith('/') ? join(base, source) : base
        await mkdir(dirname(into), { recursive: true })
        await cp(join(from === undefined ? ROOT : (roots.get(from) ?? ''), source), into, {
          recursive: true,
          verbatimSymlinks: true,
        })
      }
    }
  }
  return roots.get(undefined) ?? ''
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

describe('the image', () => {
  let folder: string
  let image: string
  let stage: Stage
  let identity: Identity
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-'))
    await chmod(folder, 0o755)
    const stages = parseDockerfile(await read('Dockerfile'))
    stage = stages.at(-1) as Stage
    image = await build(stages, folder, (await read('Dockerfile.dockerignore')).split('\n'))
    await run('chmod', ['-R', 'a-w,a+rX', image])
    identity = await startIdentity({ clock })
  }, BUILD_MS)
  afterAll(async () => {
    await identity?.close()
    if (image) await run('chmod', ['-R', 'u+w', image])
    await rm(folder, { recursive: true, force: true })
  })

  const argumentsOf = (instruction: string): string[] =>
    JSON.parse(lastOf(stage, instruction).replace(/^.*?(?=\[)/, ''))

  /** Starts a container's program; paths of the image are led to the folder. */
  function start(command: readonly string[], env: Record<string, string>) {
    const [program = '', ...args] = [...argumentsOf('ENTRYPOINT'), ...command]
    const child = spawn(
      program,
      args.map((arg) => arg.replace(/^\/app/, join(image, 'app'))),
      {
        ...NOBODY,
        cwd: join(image, lastOf(stage, 'WORKDIR')),
        env: { PATH: process.env['PATH'], ...environmentOf(stage), ...env },
      },
    )
    onTestFinished(() => void child.kill('SIGKILL'))
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    const ended = new Promise<number | null>((resolve) => {
      child.once('exit', (status) => resolve(status))
    })
    return { child, ended, said: () => said }
  }

  const healthy = async (port: number) => {
    const [program = '', ...args] = argumentsOf('HEALTHCHECK')
    const env = { PATH: process.env['PATH'], PORT: String(port) }
    return run(program, args, { env, ...NOBODY }).then(
      () => true,
      () => false,
    )
  }

  it('is of Node 24 in every stage, runs as a user without rights and without a shell or npm', async () => {
    const stages = parseDockerfile(await read('Dockerfile'))
    expect(stages.map((one) => one.image)).toEqual(stages.map(() => 'node:24-alpine'))
    expect(lastOf(stage, 'USER')).toBe('node')
    for (const instruction of ['ENTRYPOINT', 'CMD', 'HEALTHCHECK']) {
      expect(argumentsOf(instruction)).not.toEqual([])
      expect(argumentsOf(instruction).join(' ')).not.toMatch(/\b(npm|npx|sh)\b/)
    }
  })

  it('holds the program, its dependencies and nothing of the development', async () => {
    const { stdout } = await run('ls', ['-A', join(image, 'app'), join(image, 'app/node_modules')])
    expect(stdout).toContain('undici')
    expect(stdout).not.toMatch(/^(src|test|vitest|typescript|tsup|\.env.*|\.git)$/m)
  })

  it('serves with files that nobody may write, is healthy, and ends at SIGTERM', async () => {
    const port = await freePort()
    const { child, ended, said } = start(argumentsOf('CMD'), {
      PORT: String(port),
      HOST: '127.0.0.1',
      DESCOPE_CONFIG_URL: identity.configUrl,
      TARGET_MCP_SERVER_URL: 'http://127.0.0.1:9/mcp',
      SERVER_URL: 'https://mcp.example.com',
      SESSION_SECRET: 'an-example-secret-of-32-bytes-or-more',
    })
    expect(await healthy(port)).toBe(false)
    await eventually(() => expect(said()).toContain('"event":"listening"'))
    expect(await healthy(port)).toBe(true)
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(said()).not.toContain('EACCES')
  })

  it('says what is missing and ends with 2', async () => {
    const { ended, said } = start(argumentsOf('CMD'), {})
    expect(await ended).toBe(2)
    expect(said()).toContain('set DESCOPE_CONFIG_URL')
  })

  describe('under Compose', () => {
    interface Service {
      command?: string[]
      environment: Record<string, string>
      read_only: boolean
      cap_drop: string[]
      security_opt: string[]
      network_mode?: string
      stop_grace_period?: string
      ports?: string[]
    }
    /** Fills in variables as Compose does: in texts, after reading the file. */
    const fill = (text: string, env: Record<string, string>) =>
      text.replace(/\$\{(\w+):([-?])([^}]*)\}/g, (_, name: string, kind: string, rest: string) => {
        if (env[name]) return env[name]
        if (kind === '-') return rest
        throw new Error(`${name}: ${rest}`)
      })
    const services = async (env: Record<string, string>): Promise<Record<string, Service>> =>
      parse(await read('compose.yaml'), (_key, value) =>
        typeof value === 'string' ? fill(value, env) : value,
      ).services

    it('asks for the discovery URL and for nothing else', async () => {
      await expect(services({})).rejects.toThrow('DESCOPE_CONFIG_URL: Discovery URL')
      await expect(services({ DESCOPE_CONFIG_URL: 'x' })).resolves.toBeDefined()
    })

    it('takes all rights away, and waits longer than running calls may take', async () => {
      const all = await services({ DESCOPE_CONFIG_URL: 'x' })
      for (const service of Object.values(all)) {
        expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'] })
        expect(service.security_opt).toEqual(['no-new-privileges:true'])
      }
      const { default: schema } = await import('../../config-schema.json', {
        with: { type: 'json' },
      })
      const drain = schema.properties.timeouts.properties.drain.default
      expect(Number.parseInt(all['proxy']?.stop_grace_period ?? '', 10)).toBeGreaterThan(drain)
    })

    it('leads a signed-in call through the proxy to the example', async () => {
      const [proxyPort, targetPort] = [await freePort(), await freePort()]
      const all = await services({ DESCOPE_CONFIG_URL: identity.configUrl })
      const { proxy, target } = all as { proxy: Service; target: Service }
      expect(target.network_mode).toBe('service:proxy')
      const led = (text: string) =>
        text.replaceAll('9000', String(targetPort)).replaceAll('8000', String(proxyPort))
      const environment = (service: Service) =>
        Object.fromEntries(Object.entries(service.environment).map(([k, v]) => [k, led(v)]))
      const behind = start((target.command ?? []).map(led), environment(target))
      const front = start(argumentsOf('CMD'), {
        ...environment(proxy),
        PORT: String(proxyPort),
        HOST: '127.0.0.1',
      })
      await eventually(() => {
        expect(behind.said()).toContain('listens on')
        expect(front.said()).toContain('"event":"listening"')
      })
      const url = `http://localhost:${proxyPort}/mcp`
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${await identity.mint({ aud: [url] })}`,
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name: 'target_get_secret', arguments: {} },
        }),
      })
      expect(response.status).toBe(200)
      expect(await response.text()).toContain('"result"')
    })
  })
})
