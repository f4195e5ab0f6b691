import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/tools', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../python/fastmcp_server.py', import.meta.url))
const REQUIREMENTS = fileURLToPath(new URL('../python/requirements.txt', import.meta.url))

const run = promisify(execFile)

/**
 * Installs FastMCP and the MCP Python SDK once, in a folder of their own, as `.ci/run` does.
 *
 * @returns The folder; `undefined` when this machine cannot give it, which is told.
 */
export async function installFastMcp(): Promise<string | undefined> {
  const pins = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 12)
  const folder = join(CACHE, `python-${pins}`)
  if (existsSync(folder)) return folder
  const aside = `${folder}-${process.pid}`
  try {
    await run('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 10))'])
    await mkdir(CACHE, { recursive: true })
    const quiet = ['--quiet', '--disable-pip-version-check', '--no-input']
    const args = ['-m', 'pip', 'install', ...quiet, '--target', aside, '-r', REQUIREMENTS]
    await run('python3', args, { timeout: 300_000 })
    await rename(aside, folder).catch(() => undefined)
    return folder
  } catch {
    const witnesses =
      "the MCP Python SDK's authorization server, FastMCP's DescopeProvider and Descope's SDK for Python"
    console.warn(`skipped: ${witnesses} (no Python 3.10+ with pip)`)
    return undefined
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
}

interface Counts {
  readonly registrations: number
  readonly refreshes: number
  /** How the clients that registered authenticate. */
  readonly methods: readonly string[]
  /** What they registered for. */
  readonly scopes: readonly (string | null)[]
}

export interface FastMcp {
  readonly url: string
  counts(): Promise<Counts>
  /** Ends all access tokens; the refresh tokens stay good. */
  forgetAccessTokens(): Promise<void>
  /** Needs the scope `notes:write` from now on. */
  requireWriting(): Promise<void>
  close(): Promise<void>
}

/** Environment of a Python program that needs what {@link installFastMcp} installed. */
export function pythonEnvironment(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' }
}

/** How the server signs people in: see `test/python/fastmcp_server.py`. */
export type FastMcpMode = 'bound' | 'default' | 'proxy'

export async function startFastMcp(folder: string, mode: FastMcpMode): Promise<FastMcp> {
  const child = spawn('python3', [PROGRAM, mode], {
    env: pythonEnvironment(folder),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').once('data', (line: string) => resolve(line.trim()))
    child.once('error', reject)
    child.once('close', () => reject(new Error(`FastMCP ended:\n${said}`)))
  })
  const post = async (path: string) => {
    await fetch(new URL(path, url), { method: 'POST' })
  }
  return {
    url,
    counts: async () => (await (await fetch(new URL('/test/counts', url))).json()) as Counts,
    forgetAccessTokens: () => post('/test/forget-access-tokens'),
    requireWriting: () => post('/test/require-writing'),
    async close() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
